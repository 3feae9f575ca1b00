"""The recovery key: typed as people type, opening what it must and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance import home as homes
from appliance import keys, sealing
from appliance.daemon.seal_keys import seal_keys
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


def test_a_key_in_the_open_is_sealed(home: Home) -> None:
    before, folder = master(home), home.path / "keys"
    seal_keys(home.path)
    assert not (folder / "master.key").exists()
    assert before not in (folder / "master.cred").read_bytes()
    assert sealing.sealed_by((folder / "master.cred").read_bytes()) != "a way that is not known here"
    assert keys.read_master(folder) == before
    seal_keys(home.path)
    homes.open_home(home.path).registry.all("SELECT 1 FROM audit")


def test_a_first_start_makes_a_sealed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    path = tmp_path / "new"
    path.mkdir(mode=0o700)
    seal_keys(path)
    assert sorted(one.name for one in (path / "keys").iterdir()) == ["master.cred"]
    handed_over = tmp_path / "credentials"
    handed_over.mkdir()
    (handed_over / "falaj-master").write_bytes(keys.read_master(path / "keys"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed_over))
    homes.create(path)
    assert not (path / "keys" / "master.key").exists()


def test_lost_keys_are_not_made_anew(home: Home) -> None:
    (home.path / "keys" / "master.key").unlink()
    with pytest.raises(Corrupted, match=r"no keys/master\.key"):
        seal_keys(home.path)
    assert not (home.path / "keys" / "master.cred").exists()


def test_one_sealed_elsewhere_is_told(home: Home) -> None:
    seal_keys(home.path)
    path = home.path / "keys" / "master.cred"
    path.write_bytes(path.read_bytes()[:-40] + b"A" * 38 + b"=\n")
    with pytest.raises(Corrupted, match="does not open on this machine"):
        seal_keys(home.path)
    with pytest.raises(FalajError):
        homes.open_home(home.path)


def test_a_kill_while_it_is_sealed_loses_nothing(home: Home) -> None:
    before, folder = master(home), home.path / "keys"
    killed = 0
    for number in range(12):
        (folder / "master.cred").unlink(missing_ok=True)
        keys.write_file(folder / "master.key", before)
        command = [sys.executable, "-m", "appliance.daemon", "seal-keys", "--home", str(home.path)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.05 + 0.02 * number)
        os.killpg(process.pid, signal.SIGKILL)
        killed += process.wait(10) == -signal.SIGKILL
        assert keys.read_master(folder) == before
        seal_keys(home.path)
        assert keys.read_master(folder) == before
        assert not list(folder.glob(".*"))
    assert killed, "it was always faster"
