"""The set-up code: five tries whoever asks and however many at once, half an hour, this boot, one use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from appliance.db import Row, Store, Transaction
from appliance.errors import Conflict, FalajError, Forbidden
from appliance.registry import setup_codes, users
from appliance.security import setup_code
from appliance.security.setup_code import MINUTES, TRIES
from tests.unit.security.conftest import Uptime

WRONG = "00000-00000"


def make(store: Store) -> str:
    with store.write() as tx:
        return setup_code.make(tx, "system")


def be_used(store: Store, code: str, name: str = "mona") -> None:
    checked = setup_code.check(store, code)
    with store.write() as tx:
        setup_code.use(tx, checked)
        users.add(tx, name, "admin", "hash", must_change=False, by="setup")


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every code that was really compared with the true one."""
    seen: list[str] = []
    digest = setup_code._digest

    def note(code: str) -> str:
        seen.append(code)
        return digest(code)

    monkeypatch.setattr(setup_code, "_digest", note)
    return seen


def test_the_right_code_opens_once(registry: Store) -> None:
    code = make(registry)
    be_used(registry, code)
    with pytest.raises(Forbidden, match="used up"):
        setup_code.check(registry, code)
    with pytest.raises(Conflict, match="set up already"):
        make(registry)
    assert registry.all("SELECT * FROM setup_code") == []


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
def test_it_is_read_as_people_type_it(registry: Store, typed: Callable[[str], str]) -> None:
    setup_code.check(registry, typed(make(registry)))


def test_letters_that_look_alike_are_the_same(registry: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.choice", lambda letters: "1" if "1" in letters else letters[0])
    code = make(registry)
    for typed in ("lllll-lllll", "IIIIIiiiii", "11111 LLLLL"):
        assert setup_code.check(registry, typed) == code.replace("-", "")


def test_five_tries_then_even_the_right_code_is_refused(registry: Store) -> None:
    code = make(registry)
    for left in range(TRIES - 1, 0, -1):
        with pytest.raises(Forbidden) as told:
            setup_code.check(registry, WRONG)
        assert f"tries left: {left}." in told.value.hint
    for given in (WRONG, code):
        with pytest.raises(Forbidden, match="used up"):
            setup_code.check(registry, given)


def guess(store: Store, guessers: int) -> None:
    together = Barrier(guessers)

    def one(number: int) -> None:
        together.wait(20)
        with pytest.raises(Forbidden):
            setup_code.check(store, f"{number:010}")
        store.close()

    with ThreadPoolExecutor(guessers) as pool:
        list(pool.map(one, range(guessers)))


def test_fifty_at_once_have_five_tries(registry: Store, compared: list[str]) -> None:
    make(registry)
    compared.clear()
    guess(registry, 50)
    assert len(compared) == TRIES


def test_teeth_uncounted_tries_are_endless(
    registry: Store, compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that is counted only after the comparison is no bound at all."""

    def look(tx: Transaction) -> Row | None:
        return tx.one("SELECT * FROM setup_code WHERE tries > 0")

    monkeypatch.setattr(setup_codes, "take_a_try", look)
    make(registry)
    compared.clear()
    guess(registry, 50)
    assert len(compared) == 50


def test_it_lasts_half_an_hour_of_uptime(
    registry: Store, uptime: Uptime, wall: Callable[[str], None]
) -> None:
    code = make(registry)
    wall("2001-01-01T00:00:00.000Z")  # a clock that is set back makes it no younger
    uptime.seconds += MINUTES * 60 - 1
    setup_code.check(registry, code)
    uptime.seconds += 2
    with pytest.raises(Forbidden, match="too old"):
        setup_code.check(registry, code)


def test_it_ends_with_the_boot(registry: Store, uptime: Uptime) -> None:
    code = make(registry)
    uptime.boot, uptime.seconds = "another boot", 1.0
    with pytest.raises(Forbidden, match="too old"):
        setup_code.check(registry, code)


def test_a_new_code_replaces_the_old(registry: Store) -> None:
    old, new = make(registry), make(registry)
    assert len(registry.all("SELECT * FROM setup_code")) == 1
    with pytest.raises(Forbidden, match="not the set-up code"):
        setup_code.check(registry, old)
    be_used(registry, new)


def test_a_checked_code_that_was_replaced_is_not_used(registry: Store) -> None:
    checked = setup_code.check(registry, make(registry))
    make(registry)
    with pytest.raises(Conflict), registry.write() as tx:
        setup_code.use(tx, checked)


def test_of_two_at_once_one_wins(registry: Store) -> None:
    """Both have the right code and get past its check: still only one becomes the first user."""
    code = make(registry)
    together = Barrier(2)

    def one(name: str) -> str:
        checked = setup_code.check(registry, code)
        together.wait(20)
        try:
            with registry.write() as tx:
                setup_code.use(tx, checked)
                users.add(tx, name, "admin", "hash", must_change=False, by="setup")
        except FalajError as error:
            return type(error).__name__
        finally:
            registry.close()
        return "won"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, ["mona", "omar"])) == ["Conflict", "won"]
    assert len(users.every(registry)) == 1


def test_the_code_is_stored_nowhere(registry: Store) -> None:
    code = make(registry)
    rows = registry.all("SELECT * FROM setup_code") + registry.all("SELECT * FROM audit")
    assert all(part not in str(row) for row in rows for part in (code, code.replace("-", "")))


@pytest.mark.parametrize("given", ["", "\0", "é" * 10, "\u202e", "x" * 100_000, "'; DROP TABLE users; --"])
def test_nonsense_is_only_wrong(registry: Store, given: str) -> None:
    make(registry)
    with pytest.raises(Forbidden, match="not the set-up code"):
        setup_code.check(registry, given)
