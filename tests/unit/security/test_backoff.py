"""Waits after wrong sign-ins: they grow, they end, they can't be lengthened by others or slipped past."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from appliance.db import Store
from appliance.errors import Overloaded
from appliance.security import backoff
from appliance.security.backoff import FREE, LONGEST, Attempt, begin, succeed
from tests.unit.security.conftest import Uptime

MONA = Attempt("mona", "192.0.2.1")


def waits(store: Store, attempt: Attempt) -> int:
    """Seconds that this attempt has to wait, as it is told; 0 when it counts."""
    try:
        begin(store, attempt)
    except Overloaded as error:
        return error.retry_after
    return 0


def let_past(store: Store, attempts: list[Attempt]) -> int:
    """How many of these, all at once, may have their password checked."""
    together = Barrier(len(attempts))

    def one(attempt: Attempt) -> int:
        together.wait(20)
        try:
            return waits(store, attempt) == 0
        finally:
            store.close()

    with ThreadPoolExecutor(len(attempts)) as pool:
        return sum(pool.map(one, attempts))


def test_waits_grow_after_the_free_tries(telemetry: Store, uptime: Uptime) -> None:
    for _ in range(FREE):
        assert waits(telemetry, MONA) == 0
    told = []
    for _ in range(9):
        told.append(waits(telemetry, MONA))
        uptime.seconds += told[-1]
        assert waits(telemetry, MONA) == 0  # who waits as told is let in
    assert told == sorted(told)
    assert all(wait <= whole <= wait + 1 for wait, whole in zip([1, 2, 4, 8, 16], told[:5], strict=True))
    assert told[-1] <= LONGEST["address"] + 1


def test_the_hint_says_how_long() -> None:
    assert backoff.too_many(0.2).hint == "Wait 1 second, then try again."
    assert (backoff.too_many(7.3).hint, backoff.too_many(7.3).retry_after) == (
        "Wait 8 seconds, then try again.",
        8,
    )


def test_an_account_never_waits_long(telemetry: Store, uptime: Uptime) -> None:
    """From other addresses each time: nobody can lock somebody else out for good."""
    for number in range(60):
        if wait := waits(telemetry, Attempt("mona", f"192.0.2.{number}")):
            uptime.seconds += wait
    waits(telemetry, Attempt("mona", "198.51.100.1"))
    assert 0 < waits(telemetry, Attempt("mona", "198.51.100.2")) <= LONGEST["account"] + 1


def test_a_wait_is_not_lengthened_by_tries_meanwhile(telemetry: Store, uptime: Uptime) -> None:
    for _ in range(FREE + 1):
        waits(telemetry, MONA)
        uptime.seconds += 1.5
    first = waits(telemetry, MONA)
    before = telemetry.all("SELECT * FROM sign_in_tries ORDER BY key")
    assert all(waits(telemetry, MONA) == first for _ in range(200))
    assert telemetry.all("SELECT * FROM sign_in_tries ORDER BY key") == before


def test_fifty_at_once_get_no_more_than_the_free_tries(telemetry: Store, uptime: Uptime) -> None:
    assert let_past(telemetry, [MONA] * 50) == FREE


def test_teeth_counted_after_the_check_all_fifty_get_past(
    telemetry: Store, uptime: Uptime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a try only counts once its password was found wrong, tries at once are all free."""

    def look(store: Store, attempt: Attempt) -> None:
        rows = store.all("SELECT until FROM sign_in_tries WHERE key = ?", (attempt.keys["address"],))
        if rows and rows[0]["until"] > uptime.seconds:
            raise backoff.too_many(1)

    monkeypatch.setattr(f"{__name__}.begin", look)
    assert let_past(telemetry, [MONA] * 50) == 50


def test_a_success_takes_the_tries_back(telemetry: Store, uptime: Uptime) -> None:
    for _ in range(30):  # people who know their password are never slowed down
        assert waits(telemetry, MONA) == 0
        succeed(telemetry, MONA)
    for _ in range(FREE):
        assert waits(telemetry, MONA) == 0


def test_a_success_elsewhere_does_not_free_an_address(telemetry: Store, uptime: Uptime) -> None:
    """An attacker with an account of their own must not reset the count between two guesses."""
    own = Attempt("eve", MONA.address)
    guesses = 0
    for _ in range(40):
        if waits(telemetry, own) == 0:
            succeed(telemetry, own)
        guesses += waits(telemetry, MONA) == 0
    assert guesses <= FREE


def test_a_known_address_is_not_held_up_by_what_others_do(telemetry: Store, uptime: Uptime) -> None:
    assert waits(telemetry, MONA) == 0
    succeed(telemetry, MONA)
    for number in range(40):
        waits(telemetry, Attempt("mona", f"198.51.100.{number}"))
    assert waits(telemetry, Attempt("mona", "203.0.113.9")) > 0
    assert waits(telemetry, MONA) == 0


def test_a_known_address_still_waits_for_its_own_tries(telemetry: Store, uptime: Uptime) -> None:
    begin(telemetry, MONA)
    succeed(telemetry, MONA)
    assert [waits(telemetry, MONA) for _ in range(FREE + 1)][-1] > 0


def test_a_host_has_one_address(telemetry: Store, uptime: Uptime) -> None:
    """An IPv6 host has 2^64 addresses: all of them count as one; IPv4 written as IPv6 is IPv4."""
    assert backoff.network("2001:db8::1") == backoff.network("2001:db8::ffff:1")
    assert backoff.network("2001:db8::1") != backoff.network("2001:db8:0:1::1")
    assert backoff.network("::ffff:192.0.2.1") == "192.0.2.1"
    assert backoff.network("not an address") == "not an address"
    tries = [Attempt("mona", backoff.network(f"2001:db8::{number:x}")) for number in range(50)]
    assert let_past(telemetry, tries) == FREE


def test_waits_end_with_the_boot_and_after_an_hour(telemetry: Store, uptime: Uptime) -> None:
    for _ in range(FREE):
        waits(telemetry, MONA)
    assert waits(telemetry, MONA) > 0
    uptime.boot, uptime.seconds = "another boot", 5.0
    assert waits(telemetry, MONA) == 0
    for _ in range(FREE):
        waits(telemetry, MONA)
    uptime.seconds += 3700
    assert [waits(telemetry, MONA) for _ in range(FREE)] == [0] * FREE


def test_twenty_thousand_keys_keep_the_table_at_its_cap(telemetry: Store, uptime: Uptime) -> None:
    """10 000 addresses with a name each; the first are put in at once, the last through the front door."""
    early = [Attempt(f"name {number}", f"10.{number >> 8}.{number & 255}.1") for number in range(9800)]
    with telemetry.write() as tx:
        for attempt in early:
            for key in attempt.keys.values():
                tx.execute("INSERT INTO sign_in_tries VALUES (?, 1, 0, 0, 'this boot')", (key,))
    assert telemetry.all("SELECT count(*) AS n FROM sign_in_tries")[0]["n"] == 19_600
    uptime.seconds = 10.0
    began = time.monotonic()
    for number in range(200):
        assert waits(telemetry, Attempt(f"late {number}", f"172.16.{number}.1")) == 0
    assert time.monotonic() - began < 20  # a full table slows nobody's sign-in down for long
    rows = telemetry.all("SELECT * FROM sign_in_tries")
    assert len(rows) == backoff._MOST_ROWS
    assert all(len(row["key"]) < 50 for row in rows)
    assert telemetry.path.stat().st_size < 8 << 20
    late = [Attempt(f"late {number}", f"172.16.{number}.1") for number in range(200)]
    newest = {key for attempt in late for key in attempt.keys.values()}
    assert newest <= {row["key"] for row in rows}  # who has just been counted is not forgotten


def test_a_huge_name_takes_no_room(telemetry: Store, uptime: Uptime) -> None:
    begin(telemetry, Attempt("x" * 1_000_000, "192.0.2.1"))
    assert max(len(row["key"]) for row in telemetry.all("SELECT key FROM sign_in_tries")) < 50
