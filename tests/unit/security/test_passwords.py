"""Passwords: argon2id as the standard has it, one at a time, and as slow for names that don't exist."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from appliance.errors import BadInput, Overloaded
from appliance.security import passwords

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def encoded() -> str:
    return passwords.hash_password(PASSWORD)


class Watched:
    """The real hasher, with a look at how many use it at once."""

    def __init__(self, hasher: Any) -> None:
        self._hasher, self._lock = hasher, threading.Lock()
        self.now = self.most = 0

    def verify(self, *given: str) -> bool:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            return bool(self._hasher.verify(*given))
        finally:
            with self._lock:
                self.now -= 1


def test_it_is_argon2id_with_the_standards_memory(encoded: str) -> None:
    """RFC 9106, section 4, the second recommended option: 64 MiB, 3 passes, 4 lanes, 128 bit salt."""
    assert encoded.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in encoded
    assert passwords.hash_password(PASSWORD) != encoded


def test_only_the_password_itself_is_right(encoded: str) -> None:
    assert passwords.is_right(PASSWORD, encoded)
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), PASSWORD + "\0", encoded):
        assert not passwords.is_right(wrong, encoded)


def test_the_longest_password_is_told_from_a_longer_one() -> None:
    longest = "ab cd ef gh" * 18 + "ij"
    assert len(longest) == passwords.LONGEST
    encoded = passwords.hash_password(longest)
    assert passwords.is_right(longest, encoded)
    assert not passwords.is_right(longest + "k", encoded)


def test_a_broken_hash_opens_nothing() -> None:
    for broken in ("", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"):
        assert not passwords.is_right(PASSWORD, broken)
        assert not passwords.is_right("", broken)


def test_a_name_that_does_not_exist_takes_as_long(encoded: str) -> None:
    def seconds(hashed: str | None) -> float:
        began = time.perf_counter()
        assert not passwords.is_right("wrong", hashed)
        return time.perf_counter() - began

    real = min(seconds(encoded) for _ in range(3))
    nobody = min(seconds(None) for _ in range(3))
    assert real / 2 < nobody < real * 2


def test_a_huge_password_costs_no_more(encoded: str) -> None:
    huge = "x" * 20_000_000
    began = time.perf_counter()
    assert not passwords.is_right(huge, encoded)
    assert time.perf_counter() - began < 5


def at_once(encoded: str, monkeypatch: pytest.MonkeyPatch) -> int:
    watched = Watched(passwords._hasher)
    monkeypatch.setattr(passwords, "_hasher", watched)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: passwords.is_right("wrong", encoded), range(6)))
    return watched.most


def test_one_is_checked_at_a_time(encoded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB each: a flood must not add up."""
    assert at_once(encoded, monkeypatch) == 1


def test_teeth_without_the_turns_they_add_up(encoded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_one_at_a_time", threading.BoundedSemaphore(6))
    assert at_once(encoded, monkeypatch) > 1


def test_who_waits_too_long_is_told(encoded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.05)
    with passwords._Turn(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(passwords.is_right, PASSWORD, encoded)
        assert isinstance(waiting.exception(10), Overloaded)
    assert passwords.is_right(PASSWORD, encoded)  # the turn came back


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("short", "mona"),
        ("x" * 9, "mona"),
        ("x" * 201, "mona"),
        ("aaaaaaaaaaaa", "mona"),
        ("abababababab", "mona"),
        ("Mona-Mona-Mona", "mona"),
        ("i am MONA here", "mona"),
        ("mona@example.com", "mona@example.com"),
    ],
)
def test_a_poor_password_is_refused(password: str, name: str) -> None:
    with pytest.raises(BadInput):
        passwords.check_new(password, name)


@pytest.mark.parametrize("password", [PASSWORD, "كلمة سر طويلة", "🔑🚪🏠🌙⭐🌊🏜🐪🌴☀", "pass\0word\0xyz"])
def test_a_good_one_may_be_anything(password: str) -> None:
    passwords.check_new(password, "mona")


def test_one_time_passwords_are_long_and_never_the_same() -> None:
    made = {passwords.one_time_password() for _ in range(1000)}
    assert len(made) == 1000
    for one in made:
        passwords.check_new(one, "mona")
        assert not set(one) & set("0o1il")


@pytest.mark.parametrize(
    "password",
    [
        "1234567890",
        "0987654321",
        "qwertyuiop",
        "Password123",
        "P@ssword2026!",
        "welcome12345",
        "falaj-2026!!",
        "omaromaromar",
    ],
)
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with pytest.raises(BadInput, match="too easy"):
        passwords.check_new(password, "mona")


@pytest.mark.parametrize(("name", "password"), [("Li", "believe my list"), ("a", "three small words")])
def test_a_short_name_takes_no_words_away(name: str, password: str) -> None:
    passwords.check_new(password, name)
