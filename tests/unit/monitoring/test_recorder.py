"""The recorder counts every request and row once, whatever thread it came on and whatever the disk does."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from appliance.db import Store
from appliance.errors import NoSpace
from appliance.monitoring import prediction_log, recorder, traffic, windows
from appliance.monitoring.prediction_log import Piece
from appliance.monitoring.recorder import Recorder
from tests.unit.monitoring.conftest import said


def id_of(number: int) -> str:
    return f"{1_800_000_000_000:012x}7{number:019x}"


def test_what_it_was_told_is_in_telemetry(store: Store) -> None:
    made = Recorder(store, log_predictions=True)
    for number in range(100):
        made.answered(0.001, id_of(number), b'{"ok": 1}', said((number - 50, 9.0)), "tok", b'{"rows": 1}')
    made.refused("", 0, 404, 0.001)
    made.flush()
    window = windows.open_of(store, "m", 1)
    assert window is not None
    assert window.rows == 100
    assert window.features.tolist() == [50, 1, 49, 0, 0, 100, 0]
    assert window.score.tolist() == [0, 100, 0]
    totals = traffic.totals(store)
    assert (totals["m"].requests, totals["m"].rows, totals[""].requests) == (100, 100, 1)
    assert prediction_log.find(store, id_of(42)).request == b'{"rows": 1}'
    made.flush()
    assert traffic.totals(store)["m"].requests == 100


def test_predictions_are_not_kept_when_they_shall_not_be(store: Store) -> None:
    made = Recorder(store, log_predictions=False)
    made.answered(0.001, id_of(1), b"{}", said((0, 0)), "tok", b"{}")
    made.flush()
    assert prediction_log.size(store) == {"predictions": 0, "bytes": 0}
    assert windows.open_of(store, "m", 1) is not None


def test_many_threads_and_two_processes_worth_of_recorders(store: Store) -> None:
    """Rows of single requests and of large batches, flushes in between: the sums are exact."""
    both = [Recorder(store, log_predictions=True) for _ in range(2)]
    number = iter(range(1_000_000))

    def work(one: Recorder, batch: int) -> None:
        for _ in range(40):
            made = said(*[(0.5, 1.0)] * batch)
            one.answered(0.001, id_of(next(number)), b"{}", made, "tok", b"{}")
            if batch == 7:
                one.flush()

    threads = [threading.Thread(target=work, args=(one, batch)) for one in both for batch in (1, 7, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in both:
        one.flush()
    window = windows.open_of(store, "m", 1)
    assert window is not None
    rows = 2 * 40 * (1 + 7 + 300)
    assert (window.rows, window.features.sum(), window.score.sum()) == (rows, 2 * rows, rows)
    assert traffic.totals(store)["m"].requests == 2 * 3 * 40
    assert prediction_log.size(store)["predictions"] == 2 * 3 * 40


@pytest.fixture
def full(store: Store) -> Store:
    """A database that has no room left and may not grow by a page, as on a full disk."""
    pages = store.one("PRAGMA page_count")
    assert pages is not None
    store.one(f"PRAGMA max_page_count = {pages['page_count']}")
    for size in (1000, 100, 1):
        with pytest.raises(NoSpace):
            fill(store, size)
    return store


def fill(store: Store, size: int) -> None:
    for number in range(100):
        with store.write() as tx:
            piece = Piece("")
            piece.add(id_of(number), 1, "", os.urandom(size), b"")
            prediction_log.add(tx, "filler", 1, piece)


def test_a_full_disk_loses_no_count(full: Store) -> None:
    made = Recorder(full, log_predictions=True)
    for number in range(300):
        made.answered(0.001, id_of(number), b"{}", said((0.5, 1.0)), "tok", b"{}" * 500)
        if number % 50 == 0:
            made.flush()
    assert "full" in made.trouble
    assert traffic.totals(full) == {}
    full.one("PRAGMA max_page_count = 100000")
    made.flush()
    assert made.trouble == ""
    window = windows.open_of(full, "m", 1)
    assert window is not None
    assert window.rows == 300
    assert traffic.totals(full)["m"].requests == 300
    assert traffic.totals(full)["m"].rows == 300
    assert len(prediction_log.recent(full, "m", 1000)) == 300


def test_what_waits_for_the_disk_is_bounded(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_LOGGED", 10_000)
    monkeypatch.setattr(prediction_log.Piece.__init__, "__defaults__", (1000,))
    made = Recorder(full, log_predictions=True)
    for number in range(100):
        made.answered(
            0.001, id_of(number), b"{}", said((0.5, 1.0)), "tok", b'"%s"' % os.urandom(400).hex().encode()
        )
        made.flush()
    lost = made.lost
    full.one("PRAGMA max_page_count = 100000")
    made.flush()
    kept = prediction_log.recent(full, "m", 100)
    assert 10 < len(kept) < 40
    assert kept[0].request_id == id_of(99)  # the newest stay
    assert lost == 100 - len(kept)
    window = windows.open_of(full, "m", 1)
    assert window is not None
    assert window.rows == 100


def test_the_thread_writes_by_itself_and_the_rest_at_the_stop(store: Store) -> None:
    made = Recorder(store, log_predictions=True)
    made.start()
    made.answered(0.001, id_of(1), b"{}", said(*np.zeros((5, 2)).tolist()), "tok", b"{}")
    made.stop()
    window = windows.open_of(store, "m", 1)
    assert window is not None
    assert window.rows == 5
    assert not any(thread.name == "falaj-telemetry" for thread in threading.enumerate())
