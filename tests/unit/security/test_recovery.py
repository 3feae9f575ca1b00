"""The recovery key: typed as people type, opening what it must and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from pathlib import Path

import pytest

from appliance import home as homes
from appliance.errors import BadInput, Corrupted, FalajError, Forbidden, NotFound
from appliance.home import Home
from appliance.security import recovery


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return homes.create(tmp_path / "home")


def master(home: Home) -> bytes:
    return (home.path / "keys" / "master.key").read_bytes()


def test_it_opens_the_master_key_however_it_is_typed(home: Home) -> None:
    key = recovery.make(home, "user:mona")
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){6}[0-9A-HJKMNP-TV-Z]{5}", key)
    looks_alike = key.replace("0", "o").replace("1", "l")
    for typed in (key, key.lower(), key.replace("-", " "), f" {key.replace('-', '')}\n", looks_alike):
        assert recovery.master_from(home.path, typed) == master(home)


def test_no_part_of_it_is_kept(home: Home) -> None:
    key = recovery.make(home, "user:mona")
    recovery.check(home, key, "user:mona")
    kept = (home.path / "keys" / "recovery.json").read_text() + json.dumps(
        home.registry.all("SELECT * FROM audit")
    )
    assert not any(group in kept for group in key.split("-"))
    assert (home.path / "keys" / "recovery.json").stat().st_mode & 0o777 == 0o600


def test_every_single_typo_is_told_as_one_or_opens_nothing(home: Home) -> None:
    """Three characters of check: 1 in 32,768 typos passes for another key, and that opens nothing."""
    key, told = recovery.make(home, "user:mona").replace("-", ""), 0
    typos = [key[:at] + ("7" if key[at] != "7" else "8") + key[at + 1 :] for at in range(len(key))]
    typos += [key[:at] + key[at + 1] + key[at] + key[at + 2 :] for at in range(34) if key[at] != key[at + 1]]
    for typo in typos:
        with pytest.raises((BadInput, Corrupted)) as error:
            recovery.master_from(home.path, typo)
        told += "mistyped" in str(error.value)
    assert told >= len(typos) - 1


@pytest.mark.parametrize("typed", ["", "x", "A" * 35, "U" * 35, "\u0660" * 35, "é" * 35, "0" * 4000])
def test_nonsense_is_refused(home: Home, typed: str) -> None:
    recovery.make(home, "user:mona")
    with pytest.raises(BadInput):
        recovery.master_from(home.path, typed)


def test_a_new_one_ends_the_one_before(home: Home) -> None:
    first = recovery.make(home, "user:mona")
    recovery.check(home, first, "user:mona")
    second = recovery.make(home, "user:mona")
    found = recovery.standing(home)
    assert found is not None
    assert found.checked_at is None
    with pytest.raises(Forbidden):
        recovery.check(home, first, "user:mona")
    recovery.check(home, second, "user:omar")
    actions = [row["action"] for row in home.registry.all("SELECT action FROM audit ORDER BY seq")]
    told = [action for action in actions if action.startswith("recovery.")]
    assert told == ["recovery.make", "recovery.check", "recovery.make", "recovery.wrong", "recovery.check"]


def test_without_one_it_is_said(home: Home) -> None:
    assert recovery.standing(home) is None
    with pytest.raises(NotFound):
        recovery.master_from(home.path, "0" * 32 + "QJ7")
    (home.path / "keys" / "recovery.json").write_text("{")
    with pytest.raises(Corrupted):
        recovery.standing(home)


@pytest.mark.parametrize("damage", ["{", "[]", '{"made_at": 1}', "\xff", "null"])
def test_a_damaged_file_is_told(home: Home, damage: str) -> None:
    key = recovery.make(home, "user:mona")
    (home.path / "keys" / "recovery.json").write_text(damage, "latin-1")
    with pytest.raises(Corrupted, match=r"recovery\.json"):
        recovery.master_from(home.path, key)


@pytest.mark.parametrize("part", ["master", "salt"])
@pytest.mark.parametrize("content", ["x", "", None, 5, "é", "AAAA"])
def test_each_damaged_part_is_told(home: Home, part: str, content: object) -> None:
    key, path = recovery.make(home, "user:mona"), home.path / "keys" / "recovery.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: content}))
    with pytest.raises(Corrupted):
        recovery.master_from(home.path, key)


def revived(home: Home, rounds: int) -> bool:
    """Whether a check beside a making has left a key in force that is not the newest."""
    for _ in range(rounds):
        old, made = recovery.make(home, "user:mona"), []
        checks = [threading.Thread(target=_check, args=(home, old)) for _ in range(3)]
        maker = threading.Thread(target=lambda made=made: made.append(recovery.make(home, "user:omar")))
        for thread in (*checks[:2], maker, *checks[2:]):
            thread.start()
        for thread in (*checks, maker):
            thread.join()
        try:
            recovery.master_from(home.path, made[0])
        except Corrupted:
            return True
    return False


def _check(home: Home, key: str) -> None:
    with contextlib.suppress(FalajError, OSError):  # OSError: only where the lock is off
        recovery.check(home, key, "user:mona")


def test_a_check_beside_a_making_brings_no_old_key_back(home: Home) -> None:
    assert not revived(home, 30)


def test_without_the_lock_it_does(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "_alone", lambda home: contextlib.nullcontext())
    real, between = recovery._unwrap, threading.Event()

    def slowly(told: dict[str, str], secret: bytes) -> bytes:
        between.set()
        maker.join()
        return real(told, secret)

    old, made = recovery.make(home, "user:mona"), []
    maker = threading.Thread(target=lambda: (between.wait(), made.append(recovery.make(home, "user:omar"))))
    maker.start()
    with monkeypatch.context() as patched:
        patched.setattr(recovery, "_unwrap", slowly)
        recovery.check(home, old, "user:mona")
    with pytest.raises(Corrupted):
        recovery.master_from(home.path, made[0])
