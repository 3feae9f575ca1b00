"""Kept predictions: found by their id, bounded by age and size, put together when they are old."""

from __future__ import annotations

import pytest

from appliance.db import Store
from appliance.errors import NotFound
from appliance.inference import wire
from appliance.monitoring import prediction_log
from appliance.monitoring.prediction_log import LONGEST, Logged, Piece
from appliance.verbs.monitoring import _document

NOW = 1_800_000_000.0
HOUR = 3600.0


def id_at(seconds: float, number: int = 0) -> str:
    return f"{int(seconds * 1000):012x}7{number:019x}"


def keep(
    store: Store, *ids: str, model: str = "m", version: int = 1, request: bytes = b'{"rows": []}'
) -> None:
    piece = Piece("openvino")
    for id in ids:
        piece.add(id, 3, "tok", request, b'{"of": "%s"}' % id.encode())
    with store.write() as tx:
        prediction_log.add(tx, model, version, piece)


def test_a_prediction_is_found_by_its_id(store: Store) -> None:
    ids = [wire.request_id() for _ in range(50)]
    keep(store, *ids[:20])
    keep(store, *ids[20:40], version=2)
    keep(store, *ids[40:], model="other")
    found = prediction_log.find(store, ids[25])
    assert found == Logged(
        ids[25], "m", 2, "openvino", 3, "tok", b'{"rows": []}', b'{"of": "%s"}' % ids[25].encode()
    )
    assert [one.request_id for one in prediction_log.recent(store, "m", 30)] == sorted(ids[:40])[::-1][:30]
    assert prediction_log.recent(store, "nobody", 5) == []


@pytest.mark.parametrize("id", ["", "x", "not an id at all", "0" * 32, "f" * 32, "é" * 32, "'; --"])
def test_what_is_not_there_is_not_found(store: Store, id: str) -> None:
    keep(store, id_at(NOW))
    with pytest.raises(NotFound):
        prediction_log.find(store, id)


def test_long_bodies_are_left_out_and_the_rest_is_kept(store: Store) -> None:
    keep(store, id_at(NOW), request=b"x" * (LONGEST + 1))
    found = prediction_log.find(store, id_at(NOW))
    assert (found.request, found.rows) == (b"", 3)
    assert found.at == "2027-01-15T08:00:00.000Z"


def test_a_request_too_deep_to_be_shown_is_text() -> None:
    """One caller must not be able to break the page for everybody."""
    assert _document(b'{"a": NaN}') == {"a": None}
    deep = b"[" * 900 + b"]" * 900
    assert _document(deep) == deep.decode()
    assert _document(b"[" * 5000 + b"]" * 5000) == "[" * 5000 + "]" * 5000
    assert _document(b"") is None


def test_the_old_goes(store: Store) -> None:
    for day in range(10):
        keep(store, id_at(NOW - day * 24 * HOUR))
    with store.write() as tx:
        assert prediction_log.prune(tx, NOW, days=4.5, most=1 << 30) == 5
    assert len(prediction_log.recent(store, "m", 100)) == 5


def test_too_much_goes_the_oldest_first(store: Store) -> None:
    for minute in range(20):
        keep(store, id_at(NOW - minute * 60))
    (size,) = {row["bytes"] for row in store.all("SELECT bytes FROM prediction_log")}
    with store.write() as tx:
        assert prediction_log.prune(tx, NOW, days=1, most=7 * size + 1) == 13
    left = [one.request_id for one in prediction_log.recent(store, "m", 100)]
    assert left == [id_at(NOW - minute * 60) for minute in range(7)]
    assert prediction_log.size(store) == {"predictions": 7, "bytes": 7 * size}


def test_small_old_pieces_are_put_together_and_nothing_is_lost(store: Store) -> None:
    ids = [id_at(NOW - 5 * HOUR + second, second) for second in range(0, 2 * 3600, 60)]
    for id in ids:
        keep(store, id)
    keep(store, id_at(NOW - 4 * HOUR, 999), version=2)
    fresh = id_at(NOW)
    keep(store, fresh)
    with store.write() as tx:
        prediction_log.merge(tx, NOW)
    pieces = store.all("SELECT version, count(*) AS n FROM prediction_log GROUP BY version ORDER BY version")
    assert pieces[0]["n"] <= 4  # one an hour, and the fresh one
    assert pieces[1]["n"] == 1
    for id in [*ids, fresh, id_at(NOW - 4 * HOUR, 999)]:
        assert prediction_log.find(store, id).request_id == id
    with store.write() as tx:
        prediction_log.merge(tx, NOW)
    assert (
        store.all("SELECT version, count(*) AS n FROM prediction_log GROUP BY version ORDER BY version")
        == pieces
    )
