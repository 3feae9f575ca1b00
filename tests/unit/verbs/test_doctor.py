"""Each check of the doctor finds its trouble, on real files and real processes, and its fix mends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance
from appliance import config, presence
from appliance import home as homes
from appliance.config import Config
from appliance.daemon.seal_keys import seal_keys
from appliance.home import Home
from appliance.jobs import ledger
from appliance.jobs.ledger import NewJob
from appliance.verbs.check import Check
from appliance.verbs.doctor import (
    CHECKS,
    LONG,
    SURROUNDINGS,
    examine,
    examine_closed,
    kept,
    machine,
    ports,
    units,
    versions,
)

LISTEN = """
import socket
made = socket.create_server(("127.0.0.1", 0))
print(made.getsockname()[1], flush=True)
input()
"""
PORTS = """
import sys
from pathlib import Path
from appliance import config
from appliance.verbs.doctor import ports
print(ports.check_ports(config.load(Path(sys.argv[1]))).detail)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return homes.create(tmp_path / "home")


@pytest.fixture
def another() -> Iterator[tuple[int, int]]:
    """Another program: its port and its process id."""
    made = subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    yield int(made.stdout.readline()), made.pid
    made.communicate("\n")


def found(home: Home, name: str) -> Check:
    return next(check for check in examine(home) if check.check == name)


def at_port(home: Home, port: int) -> Config:
    return config.load(home.path, {"FALAJ_INFERENCE_PORT": str(port)})


def test_a_new_home_lacks_only_its_processes(home: Home) -> None:
    assert {check.check for check in examine(home) if not check.ok} == {"roles"}
    assert [check.check for check in examine(home)] == [*SURROUNDINGS, *CHECKS]


def test_quick_leaves_out_what_reads_everything(home: Home) -> None:
    left = {check.check for check in examine(home)} - {check.check for check in examine(home, quick=True)}
    assert left == set(LONG)


def test_a_port_that_another_program_has(home: Home, another: tuple[int, int]) -> None:
    port, pid = another
    told = ports.check_ports(at_port(home, port))
    assert not told.ok
    assert f"port {port} is taken by" in told.detail
    assert f"(pid {pid})" in told.detail
    assert "falaj config set inference.port" in told.fix


def test_a_port_in_the_way_though_at_another_address(home: Home, another: tuple[int, int]) -> None:
    settings = config.load(
        home.path, {"FALAJ_INFERENCE_PORT": str(another[0]), "FALAJ_INFERENCE_HOST": "0.0.0.0"}
    )
    assert not ports.check_ports(settings).ok
    aside = {"FALAJ_INFERENCE_PORT": str(another[0]), "FALAJ_INFERENCE_HOST": "127.0.0.9"}
    assert ports.check_ports(config.load(home.path, aside)).ok


def test_a_port_of_our_own_and_a_free_one(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
        presence.announce(home.run_dir, "inference", {"ready": True})
        told = ports.check_ports(at_port(home, port))
        assert told.ok
        assert f"{port} is the appliance's" in told.detail
        presence.leave(home.run_dir, "inference")
        assert not ports.check_ports(at_port(home, port)).ok
    assert f"{port} is free" in ports.check_ports(at_port(home, port)).detail


def test_what_an_empty_network_namespace_hides(home: Home, tmp_path: Path) -> None:
    """Nothing is claimed there that can't be known."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", PORTS, str(home.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "7601 can't be seen from here, 7600 can't be seen from here\n"


@pytest.mark.parametrize("name", ["keys/wrapped.json", "registry.db", ".", "keys"])
def test_what_others_may_read_is_named_and_the_fix_mends_it(home: Home, name: str) -> None:
    (home.path / name).chmod(0o755)
    told = found(home, "permissions")
    assert not told.ok
    assert str(home.path / name) in told.detail
    subprocess.run(["sh", "-c", told.fix.removeprefix("Run: ")], check=True, timeout=30)
    assert found(home, "permissions").ok
    assert (home.path / "registry.db").stat().st_mode & 0o777 == 0o600 or name == "registry.db"


def test_what_belongs_to_another_account(home: Home) -> None:
    os.chown(home.path / "registry.db", 4242, 4242)
    told = found(home, "permissions")
    assert not told.ok
    assert "of another account" in told.detail
    subprocess.run(["sh", "-c", told.fix.removeprefix("Run: ")], check=True, timeout=30)
    assert found(home, "permissions").ok


def test_a_disk_without_room_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=100,size=256m", "none", disk], check=True)
    try:
        assert kept.check_disk(Config(disk)).ok
        for number in range(98):
            (disk / str(number)).touch()
        told = kept.check_disk(Config(disk))
    finally:
        subprocess.run(["umount", disk], check=True)
    assert not told.ok
    assert "inodes" in told.detail


def test_a_clock_before_the_program_was_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_clock(home.config).ok
    monkeypatch.setattr(appliance, "RELEASED", "2999-01-01")
    told = machine.check_clock(home.config)
    assert not told.ok
    assert "timedatectl" in told.fix


FILTER = """
import ctypes, platform, struct
calls = {"x86_64": (159, 305), "aarch64": (171, 266)}[platform.machine()]  # adjtimex, clock_adjtime
rows = [(0x20, 0, 0, 0), (0x15, 1, 0, calls[0]), (0x15, 0, 1, calls[1])]  # seccomp(2)
rows += [(6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
program = struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(code))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0
from appliance.verbs.doctor import machine
machine._TIMESYNC = machine.Path("/none")
"""


def test_a_process_whose_calls_are_filtered_does_not_ask_the_kernel() -> None:
    """A filter kills for it, as systemd's may: the check lives, and without its care it dies."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", FILTER + code]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    careful = run("print(machine.synchronised())")
    assert (careful.returncode, careful.stdout) == (0, "None\n"), careful.stderr
    assert run("machine._filtered = lambda: False; machine.synchronised()").returncode == -signal.SIGSYS


def test_a_queue_that_is_no_database(home: Home) -> None:
    (home.path / "queue.db").write_bytes(b"nothing of the kind" * 1000)
    presence.announce(home.run_dir, "worker", {"ready": True, "bounds": "limits"})
    told = found(home, "queue")
    assert not told.ok
    assert "queue.db is broken" in told.detail


def test_jobs_that_nobody_takes(home: Home) -> None:
    with home.registry.write() as tx:
        ledger.add(tx, NewJob("train", "churn", {}, 3, 60.0), "test")
    told = found(home, "queue")
    assert (told.ok, told.detail) == (False, "1 jobs wait, and no worker runs")
    presence.announce(home.run_dir, "worker", {"ready": True, "bounds": "limits"})
    assert found(home, "queue").ok
    with home.registry.write() as tx:
        tx.execute("UPDATE jobs SET created_at = '2026-01-01T00:00:00.000Z'")
    assert "though the worker is free" in found(home, "queue").detail


def test_a_python_that_the_environment_was_not_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert versions.check_program(Config(tmp_path)).ok
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.9.2\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    told = versions.check_program(Config(tmp_path))
    assert not told.ok
    assert told.detail.startswith("Falaj was installed for Python 3.9.2, and the system now has 3.")


def test_a_settings_file_that_the_next_start_would_refuse(home: Home) -> None:
    (home.path / "falaj.toml").write_text("[inference]\nprot = 1\n")
    told = found(home, "settings")
    assert not told.ok
    assert "'inference.prot'" in told.detail
    assert "Did you mean 'port'?" in told.fix
    (home.path / "falaj.toml").write_text("[inference]\nworkers = 3\n")
    told = found(home, "settings")
    assert told.ok
    assert "changed since the start: inference.workers" in told.detail


def test_how_the_master_key_is_kept_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    told = found(home, "keys")
    assert told.ok
    assert "in the open beside the data" in told.detail
    seal_keys(home.path)
    told = found(home, "keys")
    assert told.ok
    assert "sealed by" in told.detail


def test_a_sealed_master_key_that_is_gone_is_told_while_it_still_runs(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The units have theirs in memory: all goes well until the next start."""
    (tmp_path / "falaj-master").write_bytes((home.path / "keys" / "master.key").read_bytes())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (home.path / "keys" / "master.key").unlink()
    told = found(home, "keys")
    assert not told.ok
    assert "recovery make. Then stop it, and: sudo falaj recovery use" in told.fix
    (home.path / "keys" / "master.cred").write_bytes(b"half of")
    told = found(home, "keys")
    assert (told.ok, "is damaged" in told.detail) == (False, True)


def test_a_home_that_cannot_be_opened_is_looked_at_all_the_same(home: Home) -> None:
    (home.path / "keys" / "master.key").chmod(0o644)
    with pytest.raises(appliance.errors.FalajError) as error:
        homes.open_home(home.path)
    bad = {check.check: check.fix for check in examine_closed(home.path, error.value) if not check.ok}
    assert set(bad) == {"roles", "permissions", "keys"}
    assert "chmod" in bad["keys"]


SHOWN = """\
Id=falaj.target
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no
ConditionResult=yes

Id=falaj-worker.service
LoadState=loaded
Result=success
ActiveState=active
UnitFileState=static
NeedDaemonReload=no
ConditionResult=yes

Id=falaj-keys.service
LoadState=loaded
Result=success
ActiveState=inactive
UnitFileState=static
NeedDaemonReload=no
ConditionResult=no
"""
WORKER = "Result=success\nActiveState=active"


@pytest.mark.parametrize(
    ("old", "new", "said", "fix"),
    [
        ("loaded\nActiveState=active", "not-found\nActiveState=inactive", "not there", "reinstall"),
        (WORKER, "Result=exit-code\nActiveState=failed", "falaj-worker.service (exit-code)", "journalctl"),
        ("loaded\nActiveState=active", "loaded\nActiveState=inactive", "is inactive", "systemctl start"),
        ("=enabled", "=disabled", "next start will not", "systemctl enable"),
        ("NeedDaemonReload=no", "NeedDaemonReload=yes", "changed since", "daemon-reload"),
    ],
)  # fmt: skip
def test_what_systemd_shows(old: str, new: str, said: str, fix: str) -> None:
    assert units.judge(SHOWN) == Check(
        "units", True, "falaj.target and its 2 units are well; not needed here: falaj-keys.service"
    )
    told = units.judge(SHOWN.replace(old, new, 1))
    assert not told.ok
    assert said in told.detail
    assert fix in told.fix
