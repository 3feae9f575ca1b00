"""Sharing the machine: inference workers come and go with the load, and no caller notices."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.client import Client
from tests.system import processes
from tests.system.appliance import Appliance

ROW = {"rows": [{"x": 100}]}
ELASTIC = {
    "FALAJ_INFERENCE_WORKERS": "1",
    "FALAJ_INFERENCE_WORKERS_MAX": "3",
    "FALAJ_INFERENCE_CALM_SECONDS": "4",
}


@dataclass(frozen=True)
class Seed:
    """A home in which the model `line` answers."""

    home: Path
    token: str


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    folder = tmp_path_factory.mktemp("governed")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance = Appliance(folder / "home").start()
    appliance.json("dataset", "add", "line", str(table))
    appliance.json(
        "train", "line", "--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"
    )
    appliance.json("deploy", "line:1")
    token = appliance.token("*")
    appliance.stop()
    return Seed(appliance.home, token)


@pytest.fixture
def elastic(seed: Seed, new_appliance: Callable[..., Appliance], tmp_path: Path) -> Appliance:
    shutil.copytree(seed.home, tmp_path / "elastic")
    return new_appliance(tmp_path / "elastic", **ELASTIC).start()


LOAD = """
import http.client, sys, threading
port, token, body = int(sys.argv[1]), sys.argv[2], sys.stdin.read()
def ask():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while True:
        connection.request("POST", "/predict/line", body, {"X-Api-Key": token})
        reply = connection.getresponse()
        assert (reply.status, reply.read()[:16]) == (200, b'{"model":"line",'), reply.status
threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@contextmanager
def load(appliance: Appliance, seed: Seed) -> Iterator[subprocess.Popen[str]]:
    """Eight callers in a process of their own, each with one kept connection and as much as it is answered.

    Many rows a request, and niced: the callers are to wait for the workers and not the other way round.
    """
    body = json.dumps({"rows": [{"x": value % 200} for value in range(400)]})
    caller = subprocess.Popen(
        ["nice", "-n", "19", sys.executable, "-c", LOAD, str(appliance.port), seed.token],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert caller.stdin is not None
    caller.stdin.write(body)
    caller.stdin.close()
    caller.stdin = None
    try:
        yield caller
    finally:
        caller.kill()
        assert caller.communicate()[1] == ""


@dataclass
class Trickle:
    """Callers with kept connections that ask now and then; what went wrong for them."""

    port: int
    token: str
    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going(self) -> Iterator[Trickle]:
        threads = [threading.Thread(target=self._ask, args=(0.02 * (1 + number),)) for number in range(16)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _ask(self, pause: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._done.wait(pause):
            try:
                connection.request("POST", "/predict/line", json.dumps(ROW), {"X-Api-Key": self.token})
                reply = connection.getresponse()
                if reply.status != 200:
                    self.wrong.append(f"{reply.status} {reply.read()!r}")
                reply.read()  # one that says `Connection: close` ends it; the next request opens another
                self.asked += 1
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                connection.close()
        connection.close()


def crew(appliance: Appliance) -> dict[str, Any]:
    role: dict[str, Any] = Client(appliance.home).call("status")["roles"]["inference"]
    return role


def workers(appliance: Appliance) -> int:
    return len(processes.of_role(appliance, "inference-worker"))


def test_workers_come_with_the_load_and_leave_without_it(elastic: Appliance, seed: Seed) -> None:
    found = crew(elastic)
    assert (found["workers"], found["floor"], found["ceiling"]) == (1, 1, 3)
    with closing(elastic.set_up()) as mona, Trickle(elastic.port, seed.token).going() as trickle:
        with load(elastic, seed):
            processes.until(lambda: crew(elastic)["workers"] >= 2, 180)
            processes.until(lambda: has_shared(elastic), 180)
            text = elastic.falaj("status").stdout
            assert "(1 to 3)" in text
            assert "% busy" in text
            page = mona.get("/").text
            assert "workers of at most 3" in page
            # while there are many, everything about them still holds
            assert elastic.json("deploy", "line:1")["dropped"] == 0
            short = elastic.token("line")
            assert elastic.ask("/predict/line", ROW, short).status == 200
        processes.until(lambda: workers(elastic) == 1, 120)
        processes.until(lambda: mona.get("/").text.count("one worker of at most 3") == 1, 60)
        assert elastic.ask("/predict/line", ROW, seed.token).status == 200
    assert trickle.wrong == []
    assert trickle.asked > 1000
    assert "more load: 2 inference workers" in elastic.log()
    assert "less load: 1 inference workers" in elastic.log()
    assert "starting it again" not in elastic.log()


def has_shared(appliance: Appliance) -> bool:
    """Whether the callers, who all keep their connections, have come to more than one worker."""
    before = {one.pid: sum(one.cpu_times()[:2]) for one in ready(appliance)}
    time.sleep(1)
    now = {one.pid: sum(one.cpu_times()[:2]) for one in ready(appliance)}
    return sum(now[pid] - before[pid] > 0.1 for pid in before.keys() & now) >= 2


def test_a_crash_is_no_wish(elastic: Appliance, seed: Seed) -> None:
    """A worker that is killed comes back; nobody takes its end for one too many."""
    with load(elastic, seed):
        processes.until(lambda: crew(elastic)["workers"] >= 2, 180)
    (first, *_) = processes.of_role(elastic, "inference-worker")
    first.kill()
    processes.until(lambda: processes.gone([first]) and workers(elastic) >= 1)
    processes.until(lambda: "starting it again" in elastic.log())
    processes.until(lambda: workers(elastic) == 1, 60)
    assert elastic.ask("/predict/line", ROW, seed.token).status == 200


@pytest.mark.parametrize("how", ["gently", "roughly"])
def test_leaving_roughly_would_be_noticed(
    seed: Seed, new_appliance: Callable[..., Appliance], tmp_path: Path, how: str
) -> None:
    """The same callers see failures when a worker is simply stopped: the test above can fail."""
    shutil.copytree(seed.home, tmp_path / "home")
    appliance = new_appliance(tmp_path / "home").start()
    with Trickle(appliance.port, seed.token).going() as trickle:
        for _ in range(3):
            leaving = processes.until(lambda: len(found := ready(appliance)) == 2 and found)[0]
            time.sleep(1)
            leaving.send_signal(signal.SIGUSR1 if how == "gently" else signal.SIGTERM)
            processes.until(lambda leaving=leaving: processes.gone([leaving]))
    assert (trickle.wrong == []) == (how == "gently")


def ready(appliance: Appliance) -> list[Any]:
    pids = crew(appliance)["pids"]
    return [one for one in processes.of_role(appliance, "inference-worker") if one.pid in pids]


def test_every_thread_of_a_training_is_idle(elastic: Appliance) -> None:
    """Also those that numeric libraries start when they are loaded, and those of the trees."""
    call = {"model": "trees", "dataset": "line", "target": "y", "algorithm": "lightgbm", "keep": ["x"]}
    job = str(Client(elastic.home).call("train", **call)["job"])
    seen: dict[int, int] = {}
    while processes.show(elastic, job)["state"] in ("queued", "running"):
        for child in processes.of_job(elastic, job):
            for thread in tasks(child.pid):
                with contextlib.suppress(ProcessLookupError):
                    seen[thread] = os.sched_getscheduler(thread)
    assert processes.show(elastic, job)["state"] == "succeeded"
    assert len(seen) > 3
    assert set(seen.values()) == {os.SCHED_IDLE}
    workers = [one for role in processes.ROLES for one in processes.of_role(elastic, role)]
    assert {os.sched_getscheduler(one.pid) for one in workers} == {os.SCHED_OTHER}


def tasks(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()]
    return []
