"""A hundred changes of version under 32 busy connections, while workers are killed: nobody else notices.

Two versions of `line` answer very differently, so that every answer shows which of them it is from.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance.cli.client import Client
from appliance.home import open_home, prepare_run_dir
from appliance.inference.plane import Plane
from appliance.inference.replica import Replica
from appliance.registry import deployments
from tests.conftest import ROOT
from tests.system import processes
from tests.system.appliance import Appliance
from tests.system.load import CONNECTIONS, Request

CHANGES, KILLS = 100, 10
ANSWERS = {1: 305, 2: 700}  # of each version, to x = 100
LEARN = ["--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"]
FOR_EVER = float("inf")


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home in which `line` has two versions and the first is live; and a token."""
    folder = tmp_path_factory.mktemp("seed")
    appliance = Appliance(folder / "home").start()
    for version, (slope, start) in enumerate([(3, 0), (-3, 995)], 1):
        table = folder / f"line{version}.csv"
        rows = (f"{i % 200},{slope * (i % 200) + start + (i * 37) % 11}\n" for i in range(400))
        table.write_text("x,y\n" + "".join(rows))
        appliance.json("dataset", "add", "line", str(table))
        appliance.json("train", "line", *LEARN)
    for version in (2, 1):
        appliance.json("deploy", f"line:{version}")
    token = appliance.token("line")
    appliance.stop()
    return appliance.home, token


@pytest.fixture
def running(seed: tuple[Path, str], new_appliance: Callable[..., Appliance], tmp_path: Path) -> Appliance:
    shutil.copytree(seed[0], tmp_path / "home")
    return new_appliance(tmp_path / "home").start()


@dataclass(frozen=True)
class Change:
    """A deploy or a rollback: when it was asked for and when it was acknowledged."""

    begun: float
    ended: float
    told: dict[str, Any]


@dataclass(frozen=True)
class Kill:
    """One killed worker and the clients' ports of the connections that it had."""

    begun: float
    ended: float
    ports: set[int]


@dataclass
class Swaps:
    """What is done to the appliance while the load is on."""

    appliance: Appliance
    order: random.Random = field(default_factory=lambda: random.Random(random.randrange(2**32)))
    changes: list[Change] = field(default_factory=lambda: [Change(-FOR_EVER, -FOR_EVER, {"version": 1})])
    kills: list[Kill] = field(default_factory=list)

    def change(self) -> None:
        """All changes, each to the other version: by a deploy or by going back."""
        client = Client(self.appliance.home)
        for _ in range(CHANGES):
            other = 3 - self.changes[-1].told["version"]
            begun = time.monotonic()
            if self.order.random() < 0.5:
                told = client.call("deploy", model=f"line:{other}")
            else:
                told = client.call("rollback", model="line")
            self.changes.append(Change(begun, time.monotonic(), told))
            assert told["version"] == other
            time.sleep(self.order.uniform(0, 0.15))

    def kill(self) -> None:
        """Kill a worker. It is stopped first, so that the connections it dies with can be counted."""
        worker = self.order.choice(processes.of_role(self.appliance, "inference-worker"))
        begun = time.monotonic()
        worker.suspend()
        tasks = list(Path(f"/proc/{worker.pid}/task").iterdir())
        processes.until(lambda: all("State:\tT" in (task / "status").read_text() for task in tasks))
        ports = {one.raddr.port for one in worker.net_connections("tcp") if one.raddr}
        worker.kill()
        self.kills.append(Kill(begun, time.monotonic(), ports))

    def fell_within(self, change: Change) -> bool:
        return any(kill.begun <= change.ended and kill.ended >= change.begun for kill in self.kills)

    def possible(self, request: Request) -> set[int]:
        """The versions that may have been live at some moment of a request.

        A version may be from when its change is asked for, to when the next one is acknowledged.
        """
        first = bisect_left(self.changes, request.begun, lo=1, key=lambda change: change.ended) - 1
        after = bisect_right(self.changes, request.ended, key=lambda change: change.begun)
        return {change.told["version"] for change in self.changes[first:after]}

    def excused(self, failed: Request) -> bool:
        """Whether a failed request was on a connection of a worker that was killed meanwhile."""
        return any(
            failed.port in kill.ports and failed.opened <= kill.ended and kill.begun <= failed.ended
            for kill in self.kills
        )


def test_nobody_notices_a_change(running: Appliance, seed: tuple[Path, str], tmp_path: Path) -> None:
    swaps, out = Swaps(running), tmp_path / "requests.json"
    command = [sys.executable, "-m", "tests.system.load", str(running.port), seed[1], "line", str(out)]
    load = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    changing = threading.Thread(target=swaps.change)
    changing.start()
    for number in range(1, KILLS + 1):
        processes.until(
            lambda number=number: (
                len(swaps.changes) > number * (CHANGES // (KILLS + 1))
                and len(processes.of_role(running, "inference-worker")) == 2
            ),
            200,
        )
        time.sleep(swaps.order.uniform(0, 0.4))
        swaps.kill()
    changing.join()
    processes.until(lambda: Client(running.home).call("status")["ready"])
    time.sleep(0.5)  # a little more of the last version
    load.communicate(b"")
    assert load.returncode == 0
    requests = [Request(**{**one, "values": tuple(one["values"])}) for one in json.loads(out.read_text())]
    answered = [request for request in requests if not request.failure]
    failed = [request for request in requests if request.failure]

    assert len(swaps.changes) == CHANGES + 1
    assert len(swaps.kills) == KILLS
    for change in swaps.changes[1:]:
        if not swaps.fell_within(change):
            assert (change.told["dropped"], change.told["workers"]) == (0, 2)
    assert [request for request in failed if not swaps.excused(request)] == []
    assert len(failed) <= KILLS * CONNECTIONS
    certain = 0
    for request in answered:
        possible = swaps.possible(request)
        certain += len(possible) == 1
        assert request.version in possible, (request, swaps.changes)
        assert request.values == (pytest.approx(ANSWERS[request.version], abs=10),)
    assert certain > 1000
    assert {request.version for request in answered} == {1, 2}
    print(f"{len(answered)} answers, {certain} of which could be of one version only; {len(failed)} lost")
    history = Client(running.home).call("deployment.show", model="line")["history"]
    assert [one["state"] for one in history] == ["live"] + ["retired"] * (CHANGES + 1)


def test_a_worker_that_starts_during_a_switch_begins_with_the_right_version(
    seed: tuple[Path, str], tmp_path: Path
) -> None:
    """The switch comes when it has read the registry and nobody knows of it yet, so nobody waits for it."""
    shutil.copytree(seed[0], tmp_path / "home")
    home = open_home(tmp_path / "home")
    prepare_run_dir(home.run_dir)
    switched = []

    def errors() -> int:
        """Asked for by the replica, when it is about to tell others of itself."""
        if not switched:
            with home.registry.write() as tx:
                switched.append(deployments.begin(tx, "line", 2, "onnxruntime", "cli:test"))
                deployments.switch(tx, switched[0], "line")
        return 0

    plane = Plane()
    replica = Replica(home, plane, errors)
    replica.start()
    assert replica.wait_until_ready()
    assert plane.current("line").version == 2
    assert switched
    replica.stop()
    shutil.rmtree(home.run_dir)


def test_an_orphan_never_answers(running: Appliance, seed: tuple[Path, str]) -> None:
    """With the parent of the workers gone they are too; who calls then is heard by new ones only."""
    old = processes.of_role(running, "inference-worker")
    (parent,) = processes.of_role(running, "inference")
    supervisor = processes.everything(running)[0]
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(Connection(running.port, seed[1])) for _ in range(8)]
        assert [one.ask() for one in held] == [200] * 8
        assert {one.answerer(running) for one in held} <= {one.pid for one in old}
        supervisor.suspend()  # it starts nothing again meanwhile
        parent.kill()
        processes.until(lambda: processes.gone([parent, *old]))
        assert [one.ask() for one in held] == [0] * 8
        late = [stack.enter_context(Connection(running.port, seed[1])) for _ in range(8)]
        for one in late:
            one.send()
        assert {one.answerer(running) for one in late} == {None}
        supervisor.resume()
        assert [one.receive() for one in late] == [200] * 8
        new = {one.pid for one in processes.of_role(running, "inference-worker")}
        assert {one.answerer(running) for one in late} <= new - {one.pid for one in old}


class Connection:
    """One connection to the endpoint, which stays open."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        body = '{"rows": [{"x": 100}]}'
        head = f"POST /predict/line HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self) -> int:
        """The status of an answer; 0 when the connection is closed instead."""
        with contextlib.suppress(OSError):
            self.send()
            return self.receive()
        return 0

    def send(self) -> None:
        self._socket.sendall(self._request)

    def receive(self) -> int:
        reply = self._socket.recv(65536)
        return int(reply.split()[1]) if reply else 0

    def answerer(self, appliance: Appliance) -> int | None:
        """The process at the other end, or None while nobody has taken the connection."""
        own = self._socket.getsockname()[1]
        for process in processes.everything(appliance):
            with contextlib.suppress(psutil.Error):
                if any(one.raddr and one.raddr.port == own for one in process.net_connections("tcp")):
                    return process.pid
        return None
