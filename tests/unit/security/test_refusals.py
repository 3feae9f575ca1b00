"""Refusals are written down, but a flood of them fills neither the audit chain nor the memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.db import Store
from appliance.security import refusals
from appliance.security.refusals import MOST, OTHERS, SPAN, Refusals


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock of the counts; it stands still otherwise."""
    now = [1000.0]
    monkeypatch.setattr(refusals, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def entries(store: Store) -> list[dict[str, object]]:
    rows = store.all("SELECT * FROM audit WHERE action = 'access.refused' ORDER BY seq")
    return [row | {"detail": json.loads(row["detail"])} for row in rows]


def counted(store: Store) -> Counter[str]:
    total: Counter[str] = Counter()
    for entry in entries(store):
        total.update(entry["detail"]["refused"])  # type: ignore[index]
    return total


def flood(counts: Refusals, store: Store) -> None:
    """10 000 refusals from 1000 sources, four threads at once."""

    def part(start: int) -> None:
        for number in range(start, 10_000, 4):
            counts.add(f"address:10.0.{number % 1000 // 256}.{number % 1000 % 256}", 401 + 2 * (number % 2))
        store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(part, range(4)))


def test_a_flood_adds_few_entries_and_none_is_lost(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "admin")
    flood(counts, registry)
    assert len(entries(registry)) == MOST + 1
    assert len(counts._counts) == MOST + 1
    counts.flush(everything=True)
    assert len(entries(registry)) == 2 * (MOST + 1)
    assert counted(registry) == {"401": 5000, "403": 5000}
    assert {entry["subject"] for entry in entries(registry)} == {"admin"}
    assert len({entry["actor"] for entry in entries(registry)} - {OTHERS}) == MOST


def test_teeth_without_the_cap_each_source_writes(
    registry: Store, tick: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MOST", 10**6)
    flood(Refusals(registry, "admin"), registry)
    assert len(entries(registry)) == 1000


def test_the_first_is_written_at_once(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "socket")
    counts.add("account:nobody", 403)
    (entry,) = entries(registry)
    assert (entry["actor"], entry["subject"], entry["detail"]) == (
        "account:nobody", "socket", {"door": "socket", "refused": {"403": 1}},
    )  # fmt: skip


def test_the_others_when_their_minute_is_over(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "admin")
    for _ in range(8):
        counts.add("user:mona", 403)
    tick(SPAN - 1)
    counts.add("user:mona", 429)
    assert len(entries(registry)) == 1
    tick(2)
    counts.add("user:omar", 401)  # any later call writes what is due
    told = [(entry["actor"], entry["detail"]["refused"]) for entry in entries(registry)]
    assert told == [
        ("user:mona", {"403": 1}),
        ("user:omar", {"401": 1}),
        ("user:mona", {"403": 7, "429": 1}),
    ]
    counts.add("user:mona", 403)  # a new minute
    assert len(entries(registry)) == 4


def test_flush_writes_what_is_left_and_only_once(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "admin")
    counts.add("a", 401)
    counts.flush(everything=True)
    assert len(entries(registry)) == 1  # nothing beyond the first
    counts.add("a", 401)
    counts.add("a", 401)
    counts.flush(everything=True)
    counts.flush(everything=True)
    assert counted(registry) == {"401": 3}


def test_a_long_flood_stays_small_every_minute(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "admin")
    for _ in range(5):
        for number in range(300):
            counts.add(f"address:{number}", 429)
        tick(SPAN + 1)
    counts.flush(everything=True)
    assert len(entries(registry)) <= 5 * 2 * (MOST + 1)
    assert counted(registry) == {"429": 1500}


def test_what_cannot_be_written_refuses_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts = Refusals(Store(tmp_path / "gone.db", b"k" * 32, b"a"), "admin")
    counts.add("address:192.0.2.1", 401)
    assert "could not be written down" in caplog.text


def test_a_wrong_password_names_its_account(registry: Store, tick: Callable[[float], None]) -> None:
    counts = Refusals(registry, "admin")
    counts.add("address:192.0.2.1", 401, "user:mona")
    counts.add("address:192.0.2.1", 401)
    assert [(entry["actor"], entry["subject"]) for entry in entries(registry)] == [
        ("address:192.0.2.1", "user:mona"), ("address:192.0.2.1", "admin"),
    ]  # fmt: skip


def test_where_nothing_may_wait_nothing_is_written_until_flush(
    registry: Store, tick: Callable[[float], None]
) -> None:
    counts = Refusals(registry, "endpoint", at_once=False)
    for _ in range(3):
        counts.add("address:192.0.2.1", 401)
    counts.flush()
    assert entries(registry) == []
    tick(SPAN + 1)
    counts.flush()
    assert counted(registry) == {"401": 3}
