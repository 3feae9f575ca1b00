"""The master key, sealed by the real systemd-creds: killed at every step, and on another machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import home as homes
from appliance import keys, sealing
from appliance.daemon.seal_keys import seal_keys
from appliance.errors import Corrupted, FalajError
from appliance.home import Home
from appliance.security import recovery

# a kill before each thing that it does to the folder, as the interpreter tells them (sys.audit)
KILLED = """
import os, signal, sys
from pathlib import Path
from appliance import keys, sealing
from appliance.daemon.seal_keys import seal_keys

home, left, broken = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "broken"
if broken:
    right = keys.seal_master
    def seal_master(folder, master):
        (folder / "master.key").unlink()
        right(folder, master)
    keys.seal_master = seal_master
def step(event, arguments):
    global left
    if event == "subprocess.Popen" or event in EVENTS and home in str(arguments):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
EVENTS = ("open", "os.rename", "os.remove", "os.chown", "os.mkdir", "os.chmod")
sys.addaudithook(step)
seal_keys(Path(home))
"""
ELSEWHERE = 'mount --bind "$0" /var/lib/systemd && exec "$@"'
WITHOUT = 'mount --bind /bin/false "$(readlink -f "$(command -v systemd-creds)")" && exec "$@"'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return homes.create(tmp_path / "home")


def master(home: Home) -> bytes:
    return (home.path / "keys" / "master.key").read_bytes()


def killed(home: Path, after: int, how: str = "right") -> bool:
    """Kill it after so many steps; False when it was done before."""
    command = [sys.executable, "-c", KILLED, str(home), str(after), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def private(script: str, given: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """`seal-keys` where nobody else sees what is mounted."""
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(given)]
    role = [sys.executable, "-m", "appliance.daemon", "seal-keys", "--home", str(home)]
    return subprocess.run([*command, *role], capture_output=True, text=True, check=False, timeout=60)


def test_a_key_in_the_open_is_sealed(home: Home) -> None:
    before, folder = master(home), home.path / "keys"
    seal_keys(home.path)
    assert not (folder / "master.key").exists()
    assert before not in (folder / "master.cred").read_bytes()
    assert sealing.sealed_by((folder / "master.cred").read_bytes()) != ""
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


def test_a_kill_at_any_step_loses_nothing(home: Home) -> None:
    before, folder, after = master(home), home.path / "keys", 0
    while killed(home.path, after):
        assert keys.read_master(folder) == before
        homes.open_home(home.path).registry.all("SELECT 1 FROM audit")
        seal_keys(home.path)
        assert keys.read_master(folder) == before
        assert sorted(one.name for one in folder.iterdir()) == ["master.cred", "wrapped.json"]
        (folder / "master.cred").unlink()
        keys.write_file(folder / "master.key", before)
        after += 1
    assert after > 5
    assert not (folder / "master.key").exists()


def test_a_kill_would_tell_of_a_key_removed_too_early(home: Home) -> None:
    before, folder = master(home), home.path / "keys"
    for after in range(40):
        if not killed(home.path, after, "broken"):
            break
        if not keys.has_master(folder):
            return
        (folder / "master.cred").unlink(missing_ok=True)
        keys.write_file(folder / "master.key", before)
    pytest.fail("nothing was lost")


def test_a_kill_at_any_step_of_the_first_start(tmp_path: Path) -> None:
    after = 0
    while True:
        home = tmp_path / str(after)
        home.mkdir(mode=0o700)
        if not killed(home, after):
            break
        seal_keys(home)
        assert [one.name for one in (home / "keys").iterdir()] == ["master.cred"]
        after += 1
    assert after > 5


def test_a_key_of_other_data_does_not_replace_the_sealed_one(home: Home) -> None:
    before, folder = master(home), home.path / "keys"
    seal_keys(home.path)
    keys.write_file(folder / "master.key", keys.new_key())
    with pytest.raises(Corrupted, match="does not fit the data"):
        seal_keys(home.path)
    (folder / "master.key").unlink()
    assert keys.read_master(folder) == before


def test_on_another_machine_it_does_not_open(home: Home, tmp_path: Path) -> None:
    seal_keys(home.path)
    (tmp_path / "systemd").mkdir()
    done = private(ELSEWHERE, tmp_path / "systemd", home.path)
    assert done.returncode == 1
    assert "does not open on this machine" in done.stderr
    assert "recovery use" in done.stderr
    seal_keys(home.path)


def test_another_machine_seals_for_itself(home: Home, tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    done = private(ELSEWHERE, tmp_path / "systemd", home.path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "systemd" / "credential.secret").exists(), "it has a key of its own"
    with pytest.raises(Corrupted, match="does not open on this machine"):
        keys.read_master(home.path / "keys")


@pytest.mark.parametrize("there", [True, False])
def test_where_nothing_can_be_sealed_it_lies_in_the_open(home: Home, tmp_path: Path, there: bool) -> None:
    path = home.path if there else tmp_path / "new"
    path.mkdir(mode=0o700, exist_ok=True)
    before = master(home)
    done = private(WITHOUT, tmp_path, path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "in the open" in done.stderr
    assert (path / "keys" / "master.key").stat().st_mode & 0o777 == 0o600
    assert not (path / "keys" / "master.cred").exists()
    assert not there or master(home) == before
    assert not any(str(key) in done.stderr for key in (before, before.hex()))


def test_links_are_not_followed(home: Home, tmp_path: Path) -> None:
    folder = home.path / "keys"
    secret = tmp_path / "of-somebody-else"
    secret.write_bytes(os.urandom(32))
    (folder / "master.key").unlink()
    (folder / "master.key").symlink_to(secret)
    with pytest.raises(Corrupted, match="is a link"):
        seal_keys(home.path)
    other = tmp_path / "other"
    folder.rename(other)
    folder.symlink_to(other)
    with pytest.raises(Corrupted, match="is a link"):
        seal_keys(home.path)
    assert secret.exists()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_credential_of_another_length_is_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "falaj-master").write_bytes(content)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(Corrupted, match="32 bytes"):
        keys.open_keys(home.path)


def test_where_nothing_can_be_sealed_no_unit_is_given_what_it_cannot_open(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data directory that came from another machine, with what was sealed there."""
    folder = home.path / "keys"
    before = (folder / "master.key").read_bytes()
    (folder / "master.key").rename(folder / "master.cred")
    monkeypatch.setattr(sealing, "_PROGRAM", "no-such-program")
    assert keys.keep_master(folder, before) is not None
    assert (folder / "master.key").read_bytes() == before
    assert not (folder / "master.cred").exists()


def test_a_credential_can_say_that_there_is_none(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the units are given where nothing could be sealed."""
    (tmp_path / "falaj-master").write_bytes(b"none")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keys.open_keys(home.path).key("audit") == home.keys.key("audit")


def test_without_a_home_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(FalajError, match="can't be used"):
        seal_keys(tmp_path / "none")


def test_the_recovery_key_opens_what_was_sealed(home: Home) -> None:
    before, key = master(home), recovery.make(home, "user:mona")
    seal_keys(home.path)
    assert recovery.master_from(home.path, key) == before
