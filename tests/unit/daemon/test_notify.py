"""What the service manager is told, over a real datagram socket (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.daemon.notify import Manager


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@falaj-{os.getpid()}{tmp_path}"


@pytest.fixture
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind("\0" + address[1:] if address.startswith("@") else address)
        made.settimeout(20)
        yield made


@pytest.fixture
def manager(address: str, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    made = Manager.from_environment()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
    assert made.interval == pytest.approx(0.1)
    yield made
    made.close()


def heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().splitlines()


def heard_no_more(systemd: socket.socket) -> None:
    """What was told before may come; then nothing does."""
    with contextlib.suppress(TimeoutError):
        for _ in range(50):
            heard(systemd)
        raise AssertionError("it goes on")


def test_ready_is_told_by_the_first_proof_that_holds_and_each_ping_by_another(
    manager: Manager, systemd: socket.socket
) -> None:
    answers = iter(["the door is shut", "the door is shut", "", "", "it broke", "", ""])
    asked = []

    def proof() -> str:
        asked.append(next(answers, ""))
        return asked[-1]

    manager.watch(proof, "all is well")
    told = [heard(systemd) for _ in range(5)]
    assert told == [
        ["STATUS=the door is shut"],
        ["READY=1", "STATUS=all is well"],
        ["WATCHDOG=1"],
        ["STATUS=it broke"],
        ["WATCHDOG=1", "STATUS=all is well"],
    ]
    manager.stopping()
    while "STOPPING=1" not in heard(systemd):
        pass
    assert "WATCHDOG=1" in heard(systemd), "how long a stop may take is not the watchdog's to say"


def test_a_proof_that_hangs_or_fails_withholds_the_ping(manager: Manager, systemd: socket.socket) -> None:
    hangs, goes_on, broken = threading.Event(), threading.Event(), threading.Event()

    def proof() -> str:
        if hangs.is_set():
            goes_on.wait(30)
        if broken.is_set():
            raise ZeroDivisionError
        return ""

    manager.watch(proof, "well")
    while "WATCHDOG=1" not in heard(systemd):
        pass
    hangs.set()
    systemd.settimeout(1)
    heard_no_more(systemd)
    broken.set()
    goes_on.set()
    assert heard(systemd) == ["STATUS=the proof of life failed; the log says why"]
    with pytest.raises(TimeoutError):
        heard(systemd)


def test_without_a_watchdog_only_ready_is_told(address: str, systemd: socket.socket) -> None:
    manager = Manager(address)
    manager.watch(lambda: "", "well")
    assert heard(systemd) == ["READY=1", "STATUS=well"]
    systemd.settimeout(0.5)
    with pytest.raises(TimeoutError):
        heard(systemd)
    manager.close()


def test_without_a_manager_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    asked = []
    manager = Manager.from_environment()
    manager.watch(lambda: asked.append(1) or "", "well")
    manager.stopping()
    assert asked == []


def test_a_manager_that_has_gone_harms_nobody(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "nobody"))
    manager.tell("READY=1")
    manager.close()


def test_a_watchdog_meant_for_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Manager.from_environment().interval == 0
