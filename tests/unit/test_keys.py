"""The key ring: private, bound to its names, and never silently replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import Corrupted, FalajError
from appliance.keys import PURPOSES, create_keys, new_key, open_keys, remove_unfinished, write_file


def test_keys_are_made_once_and_stay(tmp_path: Path) -> None:
    first, second = create_keys(tmp_path), open_keys(tmp_path)
    keys = [first.key(purpose) for purpose in PURPOSES]
    assert keys == [second.key(purpose) for purpose in PURPOSES]
    assert len(set(keys)) == len(PURPOSES)
    assert (tmp_path / "keys" / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_wrapped_key_opens_only_under_its_name(tmp_path: Path) -> None:
    ring, key = create_keys(tmp_path), new_key()
    wrapped = ring.wrap(key, "dataset:a")
    assert key not in wrapped
    assert ring.unwrap(wrapped, "dataset:a") == key
    with pytest.raises(Corrupted):
        ring.unwrap(wrapped, "dataset:b")
    with pytest.raises(Corrupted):
        ring.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "dataset:a")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    create_keys(tmp_path)
    (tmp_path / "keys" / "master.key").chmod(0o644)
    with pytest.raises(FalajError, match="can be read by others") as told:
        open_keys(tmp_path)
    assert "chmod 600" in told.value.hint


def test_a_lost_master_key_is_not_replaced_over_existing_data(tmp_path: Path) -> None:
    create_keys(tmp_path)
    (tmp_path / "registry.db").touch()
    (tmp_path / "keys" / "master.key").unlink()
    with pytest.raises(Corrupted, match=r"no keys/master\.key"):
        create_keys(tmp_path)


def test_there_is_no_appliance_yet(tmp_path: Path) -> None:
    with pytest.raises(FalajError, match="no appliance") as told:
        open_keys(tmp_path)
    assert told.value.hint == "Start one with: falaj run"


@pytest.mark.parametrize("content", ["", "{", json.dumps({"registry": "AAAA"})])
def test_a_damaged_wrapped_file_is_told(tmp_path: Path, content: str) -> None:
    create_keys(tmp_path)
    (tmp_path / "keys" / "wrapped.json").write_text(content)
    with pytest.raises(Corrupted):
        open_keys(tmp_path)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = "import os, sys; from appliance import keys; keys.os.fsync = lambda _: os.kill(os.getpid(), 9)"
    command = f"{killed}; from pathlib import Path; keys.write_file(Path(sys.argv[1]), b'half')"
    assert subprocess.run([sys.executable, "-c", command, str(tmp_path / "x")], check=False).returncode == -9
    for name in (".netrc", "audit.head", ".1234.0123456789abcdef"):
        (tmp_path / name).touch()
    assert len(list(tmp_path.glob(".x.*"))) == 1
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".netrc", "audit.head", ".1234.0123456789abcdef"}
