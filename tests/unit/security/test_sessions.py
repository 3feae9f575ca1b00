"""Sessions end: unused, old, one too many, signed out, with the password, with the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from appliance import clock
from appliance.config import AdminSettings
from appliance.db import Store
from appliance.registry import sessions, users
from appliance.registry.sessions import MOST, Session
from appliance.security import sessions as signing_in

SETTINGS = AdminSettings()
NOON = "2026-11-23T12:00:00.000Z"


@pytest.fixture(autouse=True)
def noon(wall: Callable[[str], None]) -> None:
    wall(NOON)


@pytest.fixture
def store(registry: Store) -> Store:
    with registry.write() as tx:
        users.add(tx, "mona", "admin", "hash", must_change=False, by="setup")
        users.add(tx, "omar", "viewer", "hash", must_change=False, by="user:mona")
    return registry


def later(**span: float) -> str:
    return clock.stamp(clock.parse(NOON) + timedelta(**span))


def begin(store: Store, name: str = "mona") -> tuple[str, Session]:
    with store.write() as tx:
        return signing_in.begin(tx, users.find(tx, name), "192.0.2.1", "a browser", SETTINGS)


def inside(store: Store, secret: str) -> bool:
    return signing_in.who(store, secret, SETTINGS) is not None


def test_a_session_is_its_users(store: Store) -> None:
    secret, session = begin(store)
    found = signing_in.who(store, secret, SETTINGS)
    assert found is not None
    assert (found[0].id, found[1].name) == (session.id, "mona")
    for wrong in ("", secret[:-1], secret + "x", session.digest, session.id, signing_in.csrf_token(secret)):
        assert not inside(store, wrong)


def test_only_the_digest_is_kept(store: Store) -> None:
    secret, session = begin(store)
    stored = str(store.all("SELECT * FROM sessions") + store.all("SELECT * FROM audit"))
    assert secret not in stored
    assert signing_in.csrf_token(secret) not in stored
    assert session.digest not in str(session.summary())
    assert len(secret) >= 43  # 256 bits


def test_tokens_of_forms_belong_to_one_session(store: Store) -> None:
    one, other = begin(store)[0], begin(store)[0]
    assert signing_in.csrf_token(one) == signing_in.csrf_token(one)
    assert signing_in.csrf_token(one) != signing_in.csrf_token(other)
    assert re.fullmatch("[0-9a-f]{64}", signing_in.csrf_token(one))


def test_unused_it_ends_after_some_hours(store: Store, wall: Callable[[str], None]) -> None:
    secret, _ = begin(store)
    wall(later(hours=SETTINGS.idle_hours, seconds=-1))
    assert inside(store, secret)  # and that is a use
    wall(later(hours=2 * SETTINGS.idle_hours, seconds=-3))
    assert inside(store, secret)
    wall(later(hours=3 * SETTINGS.idle_hours))
    assert not inside(store, secret)


def test_used_all_the_time_it_still_ends(store: Store, wall: Callable[[str], None]) -> None:
    secret, _ = begin(store)
    hours = 0.0
    while hours < SETTINGS.session_days * 24 - 1:
        hours += 1
        wall(later(hours=hours))
        assert inside(store, secret), hours
    wall(later(days=SETTINGS.session_days))
    assert not inside(store, secret)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_an_hour_signs_nobody_out(
    store: Store, wall: Callable[[str], None], hours: int
) -> None:
    secret, _ = begin(store)
    wall(later(hours=hours))
    assert inside(store, secret)
    wall(NOON)
    assert inside(store, secret)
    wall(later(days=SETTINGS.session_days, hours=max(hours, 0)))
    assert not inside(store, secret)


def test_it_is_noted_once_a_minute(store: Store, wall: Callable[[str], None]) -> None:
    """A page that polls once a second must not write once a second."""
    secret, session = begin(store)
    seen = set()
    for second in range(0, 150, 1):
        wall(later(seconds=second))
        assert inside(store, secret)
        seen.add(sessions.find(store, session.id).seen_at)
    assert len(seen) == 3


def test_a_user_has_so_many_and_no_more(store: Store) -> None:
    secrets = [begin(store)[0] for _ in range(MOST + 3)]
    others = begin(store, "omar")[0]
    assert [inside(store, secret) for secret in secrets] == [False] * 3 + [True] * MOST
    assert inside(store, others)


def test_expired_rows_go_with_the_next_sign_in(store: Store, wall: Callable[[str], None]) -> None:
    begin(store)
    wall(later(days=SETTINGS.session_days, seconds=1))
    begin(store, "omar")
    assert [session.user for session in sessions.every(store)] == ["omar"]


def test_a_new_password_ends_all_others(store: Store) -> None:
    here, session = begin(store)
    elsewhere, omars = begin(store)[0], begin(store, "omar")[0]
    with store.write() as tx:
        sessions.end_all(tx, "mona", but=session.id)
    assert [inside(store, one) for one in (here, elsewhere, omars)] == [True, False, True]
    with store.write() as tx:
        sessions.end_all(tx, "mona")
    assert [inside(store, one) for one in (here, omars)] == [False, True]


def test_the_sessions_of_a_removed_user_are_over(store: Store) -> None:
    secret = begin(store, "omar")[0]
    with store.write() as tx:
        users.remove(tx, "omar")
    assert not inside(store, secret)
    with store.write() as tx:  # somebody else of that name is somebody else
        users.add(tx, "omar", "admin", "hash", must_change=False, by="user:mona")
    assert not inside(store, secret)


def test_what_a_browser_says_of_itself_is_cut_short(store: Store) -> None:
    with store.write() as tx:
        _, session = signing_in.begin(tx, users.find(tx, "mona"), "a" * 5000, "b" * 5000, SETTINGS)
    assert (len(session.address), len(session.browser)) == (200, 200)


def test_every_sign_in_is_written_down(store: Store) -> None:
    _, session = begin(store)
    (entry,) = store.all("SELECT * FROM audit WHERE action = 'session.begin'")
    assert (entry["actor"], entry["subject"]) == ("user:mona", f"session:{session.id}")
