"""Signing in: spellings, and what changes between the look at a password and the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import home
from appliance.app import App, open_app
from appliance.errors import Conflict, FalajError, Forbidden, Overloaded, Unauthenticated
from appliance.registry import sessions as rows
from appliance.registry import users
from appliance.security import backoff, passwords
from appliance.security.roles import Caller, Role
from appliance.verbs import perform, sessions
from appliance.verbs.call import Call

PASSWORD, NEW = "correct horse battery", "another horse battery"
_HASH, _NEW_HASH = passwords.hash_password(PASSWORD), passwords.hash_password(NEW)


@pytest.fixture
def app(tmp_path: Path) -> App:
    home.create(tmp_path / "home")
    made = open_app(tmp_path / "home")
    with made.home.registry.write() as tx:
        users.add(tx, "mona", "admin", _HASH, must_change=False, by="test")
        users.add(tx, "omar", "viewer", _HASH, must_change=False, by="test")
    return made


def sign_in(app: App, name: str = "mona", password: str = PASSWORD, address: str = "192.0.2.1") -> str:
    return sessions.sign_in(app, name, password, address, "test")[1].user


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen right after a password was found right."""
    check = passwords.is_right

    def checked(password: str, encoded: str | None) -> bool:
        right = check(password, encoded)
        happens()
        return right

    monkeypatch.setattr(passwords, "is_right", checked)


SPELLINGS = ["mona", "MONA", " Mona ", "ｍｏｎａ", "𝐦𝐨𝐧𝐚", "𝓜𝓸𝓷𝓪", "ⓜⓞⓝⓐ", "ｍona", "mo𝖓a"]


@pytest.mark.parametrize("typed", SPELLINGS)
def test_any_spelling_signs_in(app: App, typed: str) -> None:
    assert sign_in(app, typed) == "mona"


def test_all_spellings_of_a_name_share_their_wait(app: App) -> None:
    """Each from another address: else there were as many free guesses as ways to write a name."""
    guesses = 0
    for number, typed in enumerate(SPELLINGS * 2):
        with pytest.raises((Unauthenticated, Overloaded)) as told:
            sign_in(app, typed, "wrong", f"192.0.2.{number}")
        guesses += told.type is Unauthenticated
    assert guesses <= backoff.FREE + 1


def test_a_name_that_does_not_exist_is_told_the_same(app: App) -> None:
    for name in ("nobody", "", " ", "\0", "mona\0", "x" * 100_000):
        with pytest.raises(Unauthenticated, match="The name or the password is wrong"):
            sign_in(app, name, PASSWORD, f"198.51.100.{len(name) % 250}")


def test_a_password_that_is_reset_during_the_sign_in_opens_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reset ends all sessions: none may begin a moment later with the old password."""

    def reset() -> None:
        with app.home.registry.write() as tx:
            users.set_password(tx, "mona", _NEW_HASH, must_change=True)
            rows.end_all(tx, "mona")

    meanwhile(monkeypatch, reset)
    with pytest.raises(Unauthenticated):
        sign_in(app)
    assert rows.every(app.home.registry) == []


def test_a_user_who_is_removed_during_the_sign_in_stays_out(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove() -> None:
        with app.home.registry.write() as tx:
            if users.find_or_none(tx, "omar"):
                users.remove(tx, "omar")

    meanwhile(monkeypatch, remove)
    with pytest.raises(Unauthenticated):
        sign_in(app, "omar")


def change(app: App, name: str, old: str, new: str = NEW) -> None:
    caller = Caller(f"user:{name}", Role.VIEWER, name, "a session")
    perform(app, Call("account.password", caller, {"old": old, "new": new}))


def test_a_reset_is_not_undone_by_a_change_that_began_before(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reset() -> None:
        with app.home.registry.write() as tx:
            users.set_password(tx, "omar", "reset", must_change=True)

    meanwhile(monkeypatch, reset)
    with pytest.raises(Conflict, match="changed meanwhile"):
        change(app, "omar", PASSWORD)
    assert users.find(app.home.registry, "omar").password == "reset"


def test_wrong_tries_at_ones_own_password_are_backed_off(app: App) -> None:
    """A signed-in browser that somebody left open is no place to guess the password."""
    told = []
    for _ in range(backoff.FREE + 2):
        with pytest.raises(FalajError) as error:
            change(app, "omar", "wrong")
        told.append(error.type)
    assert told.count(Forbidden) <= backoff.FREE + 1
    assert told[-1] is Overloaded


def test_and_hold_nobody_else_up(app: App) -> None:
    for _ in range(backoff.FREE + 3):
        with pytest.raises((Forbidden, Overloaded)):
            change(app, "omar", "wrong")
    change(app, "mona", PASSWORD)
    assert sign_in(app, "mona", NEW) == "mona"
