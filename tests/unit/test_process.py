"""Names of processes: unique, and gone when the process is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.cli.client import Client
from appliance.errors import Forbidden, Unavailable
from appliance.framing import socket_path
from appliance.process import core_time, lives, process_name


def test_a_process_lives_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = process_name(child.pid)
        assert lives(name)
        assert not lives(f"{child.pid}:1")
        child.kill()
        deadline = time.monotonic() + 5
        while lives(name):  # it is a zombie until it is waited for, and counts as gone by then already
            assert time.monotonic() < deadline
        assert Path(f"/proc/{child.pid}").exists()
    assert not lives(name)
    assert not lives("nonsense")


THREADS = """
import threading
spin = threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True)
spin.start()
print(spin.native_id, flush=True)
input()
"""


def test_the_time_on_a_core_is_told_of_every_thread() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        spinning = int(child.stdout.readline())
        before = core_time(child.pid)
        time.sleep(1)
        after = core_time(child.pid)
        child.kill()
    assert set(before) == set(after) == {child.pid, spinning}
    assert after[spinning] - before[spinning] > 0.5
    assert after[child.pid] - before[child.pid] < 0.5


SQUATTER = """
import os, socket, sys
os.setuid(65534)
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listening.listen()
print("ready", flush=True)
connection, _ = listening.accept()
data, fds, _, _ = socket.recv_fds(connection, 100, 1)
print(len(data), len(fds), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another user")
def test_no_file_is_handed_to_a_squatter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another user listens where the appliance would: the client hangs up before it sends anything."""
    run = Path(f"/dev/shm/falaj-test-{os.getpid()}")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("FALAJ_RUN_DIR", str(run))
    client = Client(home)
    with pytest.raises(Unavailable):
        client.call("status")
    from appliance import config

    path = socket_path(config.load(home).run_dir)
    path.parent.mkdir(parents=True)
    try:
        for folder in (run, path.parent):
            folder.chmod(0o777)
        with subprocess.Popen(
            [sys.executable, "-c", SQUATTER, str(path)], stdout=subprocess.PIPE, text=True
        ) as squatter:
            assert squatter.stdout is not None
            assert squatter.stdout.readline() == "ready\n"
            with open(__file__, "rb") as secret, pytest.raises(Forbidden, match="Another account"):
                client.call("dataset.add", file=secret)
            assert squatter.stdout.readline() == "0 0\n"
    finally:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        run.rmdir()
