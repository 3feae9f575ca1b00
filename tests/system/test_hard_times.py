"""Hard times: a full disk, damaged files, kill -9 of everything, and two who want the same thing at once.

Each test works on a clone of one prepared home, hurts a real appliance, and looks at what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from appliance import presence
from appliance.cli.client import Client
from appliance.errors import Conflict, FalajError, NoSpace
from appliance.home import Home, open_home, prepare_run_dir
from appliance.registry import deployments, models
from appliance.rollout import controller
from tests.conftest import ROOT
from tests.system import processes
from tests.system.appliance import FALAJ, Appliance

ROW = {"rows": [{"x": 100}]}
Begin = Callable[..., Appliance]


@dataclass(frozen=True)
class Seed:
    """A home with the dataset `line`, the model `line` (1 retired, 2 live), and `other` (1 live)."""

    home: Path
    token: str


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    folder = tmp_path_factory.mktemp("seed")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance = Appliance(folder / "home").start()
    appliance.json("dataset", "add", "line", str(table))
    for model in ("line", "line", "other"):
        train(appliance, model)
    for version in ("line:1", "line:2", "other:1"):
        appliance.json("deploy", version)
    token = appliance.token("*")
    appliance.stop()
    return Seed(appliance.home, token)


@pytest.fixture
def begin(seed: Seed, new_appliance: Callable[..., Appliance], tmp_path: Path) -> Iterator[Begin]:
    """Start an appliance on a clone of the seed; at the end its audit chain and its registry are sound."""
    made: list[Appliance] = []

    def start(**settings: str) -> Appliance:
        home = tmp_path / f"clone{len(made)}"
        shutil.copytree(seed.home, home)
        made.append(new_appliance(home, **settings))
        return made[-1].start()

    yield start
    for appliance in made:
        if appliance.process is not None:
            assert not {"audit", "registry", "telemetry", "roles"} & set(complaints(appliance))
            assert appliance.json("status")["ready"]


def train(appliance: Appliance, model: str) -> dict[str, Any]:
    made: dict[str, Any] = appliance.json(
        "train", model, "--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"
    )
    return made


def detach(appliance: Appliance, model: str) -> str:
    """Start a training and do not wait; its job."""
    call = {"model": model, "dataset": "line", "target": "y", "algorithm": "linear", "keep": ["x"]}
    return str(Client(appliance.home).call("train", **call)["job"])


def version_of(appliance: Appliance, seed: Seed, model: str = "line") -> int:
    reply = appliance.ask(f"/predict/{model}", ROW, seed.token)
    assert reply.status == 200, reply
    assert reply.body["predictions"][0]["value"] == pytest.approx(305, abs=10)
    return int(reply.body["version"])


def versions(appliance: Appliance, model: str) -> list[int]:
    return [row["version"] for row in Client(appliance.home).call("model.versions", model=model)]


def complaints(appliance: Appliance) -> dict[str, str]:
    """What the doctor finds fault with: check -> detail."""
    done = appliance.falaj("doctor", "--json")
    found = {check["check"]: check["detail"] for check in json.loads(done.stdout) if not check["ok"]}
    assert done.returncode == (1 if found else 0)
    return found


def is_ready(appliance: Appliance) -> bool:
    return bool(Client(appliance.home).call("status")["ready"])


def blobs(appliance: Appliance) -> set[str]:
    return {path.name for path in (appliance.home / "blobs").rglob("*") if path.is_file()}


def flip(home: Home, digest: str) -> None:
    """Change one byte in the middle of a stored file; the same again mends it."""
    path = home.blobs.path(digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def leave_free(folder: Path, size: int) -> Path:
    """Fill the disk up to `size` bytes; delete the file that this returns to free it again."""
    ballast = folder / "ballast"
    with open(ballast, "ab") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(folder).free - size))
    return ballast


def test_the_disk_is_full_during_an_import(
    small_disk: Path, new_appliance: Callable[..., Appliance], tmp_path: Path
) -> None:
    """The source fits, the first part of the dataset too, the rest doesn't: nothing of it stays."""
    table = tmp_path / "large.csv"
    numbers = np.random.default_rng(0).random((440_000, 3))
    np.savetxt(table, numbers, fmt="%.14f", delimiter=",", header="a,b,c", comments="")
    size = table.stat().st_size
    assert 18 << 20 < size < 24 << 20
    appliance = new_appliance(small_disk / "home", FALAJ_DATA_MIN_FREE_MB="1").start()

    ballast = leave_free(small_disk, size // 2)
    full = {"error": "The disk is full, so nothing was saved.", "hint": "Free some space, then try again."}
    assert appliance.refused("dataset", "add", "large", str(table)) == full  # the source doesn't fit
    assert appliance.json("job", "ls") == []
    assert blobs(appliance) == set()

    ballast.unlink()
    ballast = leave_free(small_disk, size + (6 << 20))
    began = time.monotonic()
    assert appliance.refused("dataset", "add", "large", str(table)) == full
    assert time.monotonic() - began < 60
    (job,) = appliance.json("job", "ls")
    assert (job["state"], job["attempts"], job["error"]["kind"]) == ("failed", 1, "NoSpace")
    assert "Traceback" not in appliance.falaj("job", "logs", job["job"]).stdout
    processes.until(lambda: blobs(appliance) == set())
    assert appliance.json("dataset", "ls") == []
    assert appliance.json("status")["ready"]

    ballast.unlink()
    made = appliance.json("dataset", "add", "large", str(table))
    assert (made["version"], made["rows"]) == (1, 440_000)
    assert appliance.json("audit", "verify")["ok"]
    assert set(complaints(appliance)) <= {"disk"}


def test_too_little_space_to_begin_with(small_disk: Path, new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance(small_disk / "home").start()
    table = small_disk / "t.csv"
    table.write_text("a,b\n1,2\n")
    told = appliance.refused("dataset", "add", "t", str(table))
    assert "MiB are free on the disk, so nothing is imported." in told["error"]
    assert "at least 64 MiB" in told["hint"]
    assert set(complaints(appliance)) == {"disk"}


def test_no_byte_is_left(seed: Seed, small_disk: Path, new_appliance: Callable[..., Appliance]) -> None:
    """Predictions go on; what is acknowledged is there afterwards, what was refused is not."""
    shutil.copytree(seed.home, small_disk / "home")
    appliance = new_appliance(small_disk / "home", FALAJ_DATA_MIN_FREE_MB="1").start()
    ballast = leave_free(small_disk, 0)
    client, made = Client(appliance.home), []
    told = ""
    while not told:
        try:
            made.append(client.call("token.create", models=["line"])["id"])
        except NoSpace as error:
            told = f"{error.message} {error.hint}"
        assert len(made) < 5000
    assert told == "The disk is full, so nothing was saved. Free some space, then try again."
    assert version_of(appliance, seed) == 2
    job = ""
    with contextlib.suppress(NoSpace):
        job = detach(appliance, "late")
    ballast.unlink()
    assert {row["id"] for row in client.call("token.ls")} >= set(made)
    assert len(client.call("token.ls")) == len(made) + 1
    if job:
        assert processes.ended(appliance, job)["state"] == "succeeded"
    assert train(appliance, "later")["version"] == 1
    assert appliance.json("audit", "verify")["ok"]


# Damaged files


def test_a_damaged_dataset(begin: Begin, seed: Seed) -> None:
    appliance = begin()
    home = open_home(appliance.home)
    row = home.registry.one("SELECT digest FROM blobs WHERE owner = 'dataset:line:1'")
    assert row is not None
    flip(home, row["digest"])
    told = appliance.refused("train", "line", "--dataset", "line", "--target", "y")
    assert told["error"].startswith("The dataset line:1 is damaged.")
    assert "falaj doctor" in told["hint"]
    assert versions(appliance, "line") == [1, 2]
    found = complaints(appliance)
    assert set(found) == {"blobs"}
    assert "dataset:line:1" in found["blobs"]
    assert version_of(appliance, seed) == 2
    flip(home, row["digest"])
    assert train(appliance, "line")["version"] == 3


def test_a_damaged_version(begin: Begin, seed: Seed) -> None:
    """It can't be deployed, what answered goes on, and other models don't notice."""
    appliance = begin()
    home = open_home(appliance.home)
    row = home.registry.one("SELECT graph FROM versions WHERE model = 'line' AND version = 1")
    assert row is not None
    flip(home, row["graph"])
    told = appliance.refused("deploy", "line:1")
    assert told["error"].startswith("line:1 can't be served: The stored file")
    assert told["error"].endswith("is damaged.")
    assert "falaj doctor" in told["hint"]
    assert [version_of(appliance, seed) for _ in range(6)] == [2] * 6
    assert version_of(appliance, seed, "other") == 1
    history = appliance.json("deployment", "show", "line")["history"]
    assert [one["state"] for one in history] == ["failed", "live", "retired"]
    assert "version:line:1" in complaints(appliance)["blobs"]
    assert appliance.json("deploy", "other:1")["dropped"] == 0
    flip(home, row["graph"])
    assert appliance.json("deploy", "line:1")["version"] == 1
    assert version_of(appliance, seed) == 1


def test_a_live_version_is_damaged_and_everything_restarts(begin: Begin, seed: Seed) -> None:
    """Its model says so, not that it were unknown; the others answer; another version of it mends it."""
    appliance = begin()
    home = open_home(appliance.home)
    row = home.registry.one("SELECT graph FROM versions WHERE model = 'line' AND version = 2")
    assert row is not None
    flip(home, row["graph"])
    assert version_of(appliance, seed) == 2  # it is open in memory
    appliance.stop()
    appliance.start()
    assert version_of(appliance, seed, "other") == 1
    for _ in range(6):  # both workers say the same
        reply = appliance.ask("/predict/line", ROW, seed.token)
        assert reply.status == 503
        assert "The model 'line' is deployed, but can't answer: The stored file" in reply.body["error"]
        assert "falaj doctor" in reply.body["hint"]
    assert set(complaints(appliance)) == {"blobs", "deployed"}
    assert appliance.json("deploy", "line:1")["version"] == 1
    assert {version_of(appliance, seed) for _ in range(6)} == {1}
    appliance.json("undeploy", "line")
    assert appliance.ask("/predict/line", ROW, seed.token).status == 404
    flip(home, row["graph"])


# Slow and broken clients


def test_two_hundred_half_sent_bodies(begin: Begin, seed: Seed) -> None:
    """They cost the others nothing, and are told off when their time is over."""
    appliance = begin(FALAJ_INFERENCE_BODY_DEADLINE="4")
    head = (
        f"POST /predict/line HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {seed.token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 400\r\n\r\n{"rows": ['
    ).encode()
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", appliance.port), 20))
            connection.sendall(head)
            held.append(connection)
        began, slowest = time.monotonic(), 0.0
        for _ in range(100):
            asked = time.monotonic()
            assert version_of(appliance, seed) == 2
            slowest = max(slowest, time.monotonic() - asked)
        assert time.monotonic() - began < 4, "the bodies were over before the predictions were"
        assert slowest < 1
        answers = [connection.recv(4096) for connection in held]
    assert time.monotonic() - began < 15
    assert {answer.split(b"\r\n")[0].split()[1] for answer in answers} == {b"408"}
    assert b"The request body did not arrive in time." in answers[0]
    assert version_of(appliance, seed) == 2


# kill -9


def test_the_worker_is_killed_during_a_training(begin: Begin, seed: Seed) -> None:
    """Its child dies with it, and another worker takes the job up and finishes it."""
    appliance = begin()
    job = detach(appliance, "line")
    child = processes.held(appliance, job)
    (worker,) = processes.of_role(appliance, "worker")
    worker.kill()
    processes.until(lambda: processes.gone([worker, child]), 5)
    done = processes.ended(appliance, job)
    assert (done["state"], done["attempts"], done["result"]["version"]) == ("succeeded", 2, 3)
    assert versions(appliance, "line") == [1, 2, 3]
    assert version_of(appliance, seed) == 2
    assert processes.of_role(appliance, "worker")[0].pid != worker.pid


WITHOUT_ROUNDS = """
import sys, threading
from pathlib import Path
from appliance.home import open_home
from appliance.jobs import queue
from appliance.jobs.runner import Runner
home, job = Path(sys.argv[1]), sys.argv[2]
opened = open_home(home)
queue.empty(home / "queue.db")
jobs = queue.Queue(home / "queue.db", lambda id: runner.run(id))
runner = Runner(opened.registry, home, opened.run_dir, "appliance.work", 20.0, 4.0, 1 << 40, jobs.is_stopping)
jobs.wake(job)
jobs.wake(sys.argv[3])
jobs.serve(2)
"""


def test_without_the_rounds_an_abandoned_job_would_wait_for_ever(begin: Begin) -> None:
    """What the test above relies on: the worker's other parts alone do not take such a job up."""
    appliance = begin()
    job = detach(appliance, "line")
    processes.held(appliance, job)
    waiting = detach(appliance, "other")
    appliance.kill()
    home = open_home(appliance.home)
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_ROUNDS), str(appliance.home), job, waiting],
        env=appliance.environment,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )

    def state(id: str) -> str:
        row = home.registry.one("SELECT state FROM jobs WHERE id = ?", (id,))
        assert row is not None
        return str(row["state"])

    processes.until(lambda: state(waiting) == "succeeded")  # it does work, for a job that only waits
    time.sleep(1)
    assert state(job) == "running"
    worker.terminate()
    assert worker.wait(15) == 0
    assert state(job) == "running"
    appliance.start()
    assert processes.ended(appliance, job)["attempts"] == 2


def test_the_child_of_a_job_is_killed(begin: Begin) -> None:
    appliance = begin()
    job = detach(appliance, "line")
    processes.held(appliance, job).kill()
    done = processes.ended(appliance, job)
    assert (done["state"], done["attempts"]) == ("succeeded", 2)
    assert versions(appliance, "line") == [1, 2, 3]


def test_a_job_that_never_survives_is_given_up(begin: Begin) -> None:
    appliance = begin(FALAJ_JOBS_ATTEMPTS="2")
    before = blobs(appliance)
    job = detach(appliance, "line")
    for _ in range(2):
        processes.held(appliance, job).kill()
    done = processes.ended(appliance, job)
    assert (done["state"], done["attempts"]) == ("failed", 2)
    assert done["error"]["error"] == "The job was interrupted 2 times and is given up."
    assert versions(appliance, "line") == [1, 2]
    assert blobs(appliance) == before


def test_an_inference_worker_is_killed(begin: Begin, seed: Seed) -> None:
    """The other one goes on, and the one that replaces it answers from the same versions at once."""
    appliance = begin()
    workers = processes.of_role(appliance, "inference-worker")
    assert len(workers) == 2
    workers[0].kill()
    for _ in range(20):
        assert version_of(appliance, seed) == 2
    processes.until(lambda: is_ready(appliance) and processes.gone([workers[0]]))
    now = processes.of_role(appliance, "inference-worker")
    assert len(now) == 2
    assert workers[1].pid in [one.pid for one in now]
    for _ in range(40):
        assert (version_of(appliance, seed), version_of(appliance, seed, "other")) == (2, 1)
    assert appliance.json("deploy", "line:1")["workers"] == 2


def test_the_whole_inference_role_is_killed(begin: Begin, seed: Seed) -> None:
    appliance = begin()
    killed = processes.of_role(appliance, "inference") + processes.of_role(appliance, "inference-worker")
    assert len(killed) == 3
    killed[0].kill()
    processes.until(lambda: processes.gone(killed), 5)
    assert version_of(appliance, seed) == 2  # the socket was kept: a client only waits a moment
    processes.until(lambda: is_ready(appliance))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True


def test_the_supervisor_is_killed(begin: Begin, seed: Seed) -> None:
    """Nothing is left of it, and started again it has everything that was acknowledged."""
    appliance = begin()
    client, tokens = Client(appliance.home), []
    job = detach(appliance, "line")
    processes.held(appliance, job)
    running = processes.everything(appliance)
    assert len(running) >= 7

    def create() -> None:
        with contextlib.suppress(FalajError):
            while True:
                tokens.append(Client(appliance.home).call("token.create", models=["line"])["id"])

    thread = threading.Thread(target=create)
    thread.start()
    processes.until(lambda: len(tokens) > 5)
    appliance.kill()
    thread.join(10)
    processes.until(lambda: processes.gone(running), 5)
    for port in (appliance.port, appliance.admin_port):  # a dead process may still have a thread that ends
        processes.until(lambda port=port: is_free(port), 5)
    appliance.start()
    assert {row["id"] for row in client.call("token.ls")} >= set(tokens)
    assert (version_of(appliance, seed), version_of(appliance, seed, "other")) == (2, 1)
    done = processes.ended(appliance, job)
    assert (done["state"], done["attempts"]) == ("succeeded", 2)
    assert versions(appliance, "line") == [1, 2, 3]
    assert appliance.json("audit", "verify")["ok"]


def test_a_broken_queue_is_replaced_at_the_next_start(begin: Begin) -> None:
    """queue.db may be lost or broken at any time; the job itself is in the registry."""
    appliance = begin()
    job = detach(appliance, "line")
    processes.held(appliance, job)
    waiting = [detach(appliance, "other") for _ in range(2)]
    appliance.kill()
    (appliance.home / "queue.db").write_bytes(b"\x80\x04rubbish" * 4000)
    (appliance.home / "queue.db-wal").unlink(missing_ok=True)
    appliance.start()
    for one in (job, *waiting):
        assert processes.ended(appliance, one)["state"] == "succeeded"


def test_a_queue_that_breaks_while_it_runs_heals_by_itself(begin: Begin) -> None:
    appliance = begin()
    with open(appliance.home / "queue.db", "r+b") as file:
        file.write(b"\x80\x04rubbish" * 4000)
    (appliance.home / "queue.db-wal").unlink(missing_ok=True)
    assert processes.ended(appliance, detach(appliance, "line"))["state"] == "succeeded"


# Stopping


def alone(appliance: Appliance) -> subprocess.Popen[str]:
    """Start it again as the leader of a process group, as a terminal does, and wait until it is ready."""
    appliance.stop()
    appliance.process = subprocess.Popen(
        [FALAJ, "run"],
        env=appliance.environment,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.until(lambda: is_ready(appliance), 60)
    return appliance.process


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_it_stops_in_good_order(begin: Begin, seed: Seed, how: str) -> None:
    """Within seconds, whatever is going on; the running job waits again, and the attempt isn't counted."""
    appliance = begin(FALAJ_INFERENCE_DRAIN_SECONDS="3")
    process = alone(appliance)
    job = detach(appliance, "line")
    child = processes.held(appliance, job)
    running = processes.everything(appliance)
    idle = socket.create_connection(("127.0.0.1", appliance.port))
    half = socket.create_connection(("127.0.0.1", appliance.port))
    half.sendall(
        f"POST /predict/line HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {seed.token}\r\n"
        "Content-Length: 99\r\n\r\n{".encode()
    )
    began = time.monotonic()
    if how == "SIGTERM":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)  # the order to stop is there before it can go on
    child.resume()
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in told
    assert "is killed" not in told  # every role ended by itself
    processes.until(lambda: processes.gone(running), 2)
    idle.close()
    half.close()
    row = open_home(appliance.home).registry.one("SELECT state, attempts FROM jobs WHERE id = ?", (job,))
    assert row == {"state": "queued", "attempts": 0}
    appliance.start()
    done = processes.ended(appliance, job)
    assert (done["state"], done["attempts"]) == ("succeeded", 1)


def test_cancelling_a_running_training(begin: Begin) -> None:
    """Whoever waits for it is told, and nothing of it is left."""
    appliance = begin()
    before = blobs(appliance)
    waiting = subprocess.Popen(
        [FALAJ, "train", "line", "--dataset", "line", "--target", "y", "--keep", "x"],
        env=appliance.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    job = processes.until(
        lambda: [one["job"] for one in Client(appliance.home).call("job.ls") if one["state"] == "running"]
    )[0]
    child = processes.held(appliance, job)
    assert appliance.falaj("job", "cancel", job).returncode == 0
    child.resume()
    _, told = waiting.communicate(timeout=15)
    assert (waiting.returncode, told.splitlines()[0]) == (1, "falaj: The job was cancelled.")
    assert processes.show(appliance, job)["state"] == "cancelled"
    processes.until(lambda: processes.gone([child]), 5)
    assert versions(appliance, "line") == [1, 2]
    assert blobs(appliance) == before
    assert "already ended" in appliance.refused("job", "cancel", job)["error"]
    assert train(appliance, "line")["version"] == 3


def test_cancelling_an_import_leaves_no_file(begin: Begin, tmp_path: Path) -> None:
    appliance = begin()
    before = blobs(appliance)
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "1,2\n3,4\n" * 900_000)
    started = appliance.json("dataset", "add", "gone", str(table), "--detach")
    assert len(blobs(appliance)) == len(before) + 1  # the source, safe from the reply on
    child = processes.until(lambda: processes.of_job(appliance, started["job"]))[0]
    child.suspend()
    appliance.json("job", "cancel", started["job"])
    child.resume()
    assert processes.ended(appliance, started["job"])["state"] == "cancelled"
    processes.until(lambda: blobs(appliance) == before)


# Two at once


def test_two_trainings_of_one_model_at_once(begin: Begin) -> None:
    appliance = begin()
    jobs = [detach(appliance, "twin") for _ in range(2)]
    children = [processes.held(appliance, job) for job in jobs]
    for child in children:
        child.resume()
    results = [processes.ended(appliance, job)["result"] for job in jobs]
    assert {result["version"] for result in results} == {1, 2}
    assert len({result["run"] for result in results}) == 2
    assert versions(appliance, "twin") == [1, 2]


def test_many_deploys_at_once(begin: Begin, seed: Seed) -> None:
    """Each one either happens as a whole or is told that another is under way; nobody waits for ever."""
    appliance = begin()
    told: list[tuple[str, Any]] = []

    def deploy(reference: str) -> None:
        for _ in range(4):
            try:
                told.append((reference, Client(appliance.home).call("deploy", model=reference)))
            except Conflict as error:
                told.append((reference, error))

    began = time.monotonic()
    threads = [
        threading.Thread(target=deploy, args=(one,)) for one in ("line:1", "line:2", "line:1", "line:2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 60
    assert len(told) == 16
    done = [(reference, answer) for reference, answer in told if isinstance(answer, dict)]
    refused = [answer for _, answer in told if isinstance(answer, Conflict)]
    assert done
    for reference, answer in done:
        assert (f"line:{answer['version']}", answer["mode"]) == (reference, "live")
    for error in refused:
        assert error.message == "Another deployment of 'line' is under way."
        assert error.hint
    shown = appliance.json("deployment", "show", "line")
    assert {one["deployment"] for one in shown["history"]} >= {answer["deployment"] for _, answer in done}
    assert [one["state"] for one in shown["history"]] == ["live"] + ["retired"] * (len(shown["history"]) - 1)
    newest = max(answer["deployment"] for _, answer in done)
    assert shown["live"]["deployment"] == newest
    assert {version_of(appliance, seed) for _ in range(20)} == {shown["live"]["version"]}


def test_a_deploy_and_an_undeploy_at_once(begin: Begin, seed: Seed) -> None:
    """Whoever comes last holds, and both are told in seconds."""
    appliance = begin()
    ended: list[float] = []

    def call(verb: str) -> None:
        began = time.monotonic()
        with contextlib.suppress(Conflict):
            Client(appliance.home).call(verb, model="line")
        ended.append(time.monotonic() - began)

    for _ in range(4):
        threads = [threading.Thread(target=call, args=(verb,)) for verb in ("deploy", "undeploy", "deploy")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert max(ended) < 30
    live = appliance.json("deployment", "show", "line")["live"]
    replies = {appliance.ask("/predict/line", ROW, seed.token).status for _ in range(10)}
    assert replies == ({404} if live is None else {200})


def test_a_deploy_that_is_overtaken_does_not_wait_for_ever(
    seed: Seed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another follows so soon that no worker is ever seen with the first; this process plays the worker."""
    monkeypatch.setenv("FALAJ_INFERENCE_WORKERS", "1")
    shutil.copytree(seed.home, tmp_path / "home")
    home = open_home(tmp_path / "home")
    prepare_run_dir(home.run_dir)

    def say(live: int | None, prepared: int | None = None) -> None:
        told = {"live": live, "version": 1, "runtime": "onnxruntime", "prepared": prepared}
        body = {"ready": True, "models": {"line": told}, "failed": {}, "errors": 0}
        presence.announce(home.run_dir, "inference-worker", body)

    before = deployments.live(home.registry, "line")
    assert before is not None
    say(before.id)
    version, answers = models.find_version(home.registry, "line", 1), []
    thread = threading.Thread(
        target=lambda: answers.append(controller.deploy(home, version, "onnxruntime", "cli:test", set()))
    )
    thread.start()
    first = processes.until(lambda: deployments.unfinished(home.registry))[0]
    say(before.id, prepared=first.id)
    processes.until(lambda: (now := deployments.live(home.registry, "line")) and now.id == first.id)
    with home.registry.write() as tx:  # what the next deploy does, as soon as this one has switched
        second = deployments.begin(tx, "line", 2, "onnxruntime", "cli:test")
        deployments.switch(tx, second, "line")
    say(second)
    thread.join(5)
    assert not thread.is_alive()
    assert answers[0]["deployment"] == first.id
    assert [one.state for one in deployments.history(home.registry, "line")][:2] == ["live", "retired"]
    shutil.rmtree(home.run_dir)


def test_the_admin_role_is_killed_during_a_roll_out(begin: Begin, seed: Seed) -> None:
    """The roll-out has failed, the old version never stopped answering, and the next one works."""
    appliance = begin()
    home = open_home(appliance.home)
    workers = processes.of_role(appliance, "inference-worker")
    for worker in workers:
        worker.suspend()  # so that the roll-out waits for them
    told: list[FalajError] = []

    def deploy() -> None:
        try:
            Client(appliance.home).call("deploy", model="line:1")
        except FalajError as error:
            told.append(error)

    thread = threading.Thread(target=deploy)
    thread.start()
    processes.until(lambda: home.registry.one("SELECT id FROM deployments WHERE state = 'preparing'"))
    (admin,) = processes.of_role(appliance, "admin")
    with pytest.raises(Conflict, match="Another deployment of 'line' is under way"):
        Client(appliance.home).call("deploy", model="line:2")
    admin.kill()
    thread.join(10)
    assert told
    states = processes.until(lambda: Client(appliance.home).call("deployment.show", model="line")["history"])
    assert [one["state"] for one in states] == ["failed", "live", "retired"]
    assert states[0]["error"] == "The appliance stopped during the roll-out."
    for worker in workers:
        worker.resume()
    assert [version_of(appliance, seed) for _ in range(10)] == [2] * 10
    processes.until(lambda: is_ready(appliance))
    assert appliance.json("deploy", "line:1")["version"] == 1
    assert {version_of(appliance, seed) for _ in range(10)} == {1}


def test_kill_everything_again_and_again(begin: Begin, seed: Seed) -> None:
    """Twelve random kills while work goes on: the appliance is itself again each time, and loses nothing."""
    appliance = begin()
    order = np.random.default_rng(0)
    jobs = [detach(appliance, f"m{number}") for number in range(3)]
    for _ in range(12):
        victims = processes.everything(appliance)[1:]
        with contextlib.suppress(psutil.NoSuchProcess):
            victims[int(order.integers(len(victims)))].kill()
        time.sleep(float(order.uniform(0.05, 0.5)))
    processes.until(lambda: is_ready(appliance), 90)
    assert version_of(appliance, seed) == 2
    for number, job in enumerate(jobs):
        done = processes.ended(appliance, job, 90)
        assert done["state"] in ("succeeded", "failed")
        if done["state"] == "succeeded":
            assert versions(appliance, f"m{number}") == [1]
        else:
            assert "is given up" in done["error"]["error"]
    assert appliance.json("audit", "verify")["ok"]
