"""Requests by minute and in all, percentiles, and how old minutes become hours."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.db import Store
from appliance.monitoring import latency, prometheus, traffic
from appliance.monitoring.traffic import DAY, HOUR, MINUTE, Meter

NOW = 1_800_000_000.0 // HOUR * HOUR


def meter(*requests: tuple[int, float], rows: int = 0) -> Meter:
    made = Meter(rows=rows)
    for status, seconds in requests:
        made.add(status, seconds)
    return made


def test_what_was_added_is_found_again(store: Store) -> None:
    with store.write() as tx:
        traffic.add(tx, "m", 1, meter((200, 0.001), (200, 0.002), rows=2), NOW)
        traffic.add(tx, "m", 1, meter((422, 0.003)), NOW + 30)
        traffic.add(tx, "m", 2, meter((500, 0.004), (499, 9.0), rows=5), NOW + 60)
        traffic.add(tx, "other", 1, meter((200, 40.0)), NOW + 120)
        traffic.add(tx, "", 0, meter((404, 0.001)), NOW)
    found = traffic.summed(store, "m", NOW)["m"]
    assert found.statuses == {200: 2, 422: 1, 500: 1, 499: 1}
    assert (found.requests, found.failed, found.refused, found.rows) == (5, 1, 1, 7)
    assert found.seconds == pytest.approx(9.010)
    assert set(traffic.summed(store, None, NOW)) == {"m", "other", ""}
    assert traffic.totals(store)["m"].requests == 5
    series = traffic.series(store, "m", NOW - 2 * MINUTE, NOW + 3 * MINUTE, MINUTE)
    assert [one.requests for _, one in series] == [0, 0, 3, 2, 0, 0]
    assert [starts for starts, _ in series] == [int(NOW) + step * MINUTE for step in range(-2, 4)]
    assert [one.requests for _, one in traffic.series(store, None, NOW, NOW + HOUR, HOUR)] == [7, 0]


def test_percentiles_lie_within_a_bucket_of_the_truth() -> None:
    times = np.random.default_rng(0).lognormal(-6, 1, 20_000)
    made = meter(*((200, float(one)) for one in times))
    for share in (0.5, 0.95, 0.99):
        found, true = latency.quantile(made.latency, share), np.quantile(times, share)
        assert found is not None
        place = latency.bucket(float(true))
        assert latency.EDGES[place - 1] <= found <= latency.EDGES[place]
    assert latency.quantile([0] * 28, 0.5) is None
    assert latency.quantile([0] * 27 + [3], 0.5) == latency.EDGES[-1]
    assert meter((200, 0.0001)).latency[0] == 1  # an edge belongs to the bucket below, as in Prometheus


def test_old_minutes_become_hours_and_no_request_is_lost(store: Store) -> None:
    old = NOW - 3 * DAY
    with store.write() as tx:
        for minute in range(90):
            traffic.add(tx, "m", 1, meter((200, 0.001), rows=1), old + minute * MINUTE)
        traffic.add(tx, "m", 1, meter((200, 0.001)), NOW)
        traffic.add(tx, "m", 1, meter((200, 0.001)), NOW - 401 * DAY)
        traffic.thin(tx, NOW)
    spans = store.all("SELECT span, count(*) AS n FROM traffic GROUP BY span ORDER BY span")
    assert spans == [{"span": MINUTE, "n": 1}, {"span": HOUR, "n": 2}]
    assert traffic.summed(store, "m", old)["m"].requests == 91
    assert traffic.totals(store)["m"].requests == 92  # the total forgets nothing
    with store.write() as tx:
        traffic.thin(tx, NOW)
    assert traffic.summed(store, "m", old)["m"].requests == 91


def test_prometheus_text_follows_its_format(store: Store) -> None:
    with store.write() as tx:
        traffic.add(tx, 'a"b\\c\nd', 1, meter((200, 0.001), (503, 0.2), rows=3), NOW)
    text = prometheus.requests(traffic.totals(store), 4)
    label = '"a\\"b\\\\c\\nd"'
    assert f'falaj_requests_total{{model={label},status="200"}} 1\n' in text
    assert f"falaj_rows_total{{model={label}}} 3\n" in text
    assert f'falaj_request_seconds_bucket{{model={label},le="+Inf"}} 2\n' in text
    assert f"falaj_request_seconds_count{{model={label}}} 2\n" in text
    assert "falaj_requests_in_flight 4\n" in text
    for line in text.splitlines():
        assert line.startswith(("# HELP falaj_", "# TYPE falaj_", "falaj_")), line
    kinds = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds))
