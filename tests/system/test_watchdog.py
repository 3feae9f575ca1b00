"""Roles as services: READY when they answer, pings after a proof of life, and the end of what is stuck."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance import config, presence
from appliance import home as homes
from appliance.cli.client import Client
from appliance.security.local_token import make_local_token
from tests.system import processes
from tests.system.appliance import Appliance, free_port
from tests.system.processes import until
from tests.system.service import Service

ROW = {"rows": [{"x": 100}]}
STUCK = str(Path(__file__).parent / "stuck")
Start = Callable[..., Service]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home whose model `line` answers, and a token for it."""
    folder = tmp_path_factory.mktemp("services")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    made = Appliance(folder / "home").start()
    made.json("dataset", "add", "line", str(table))
    made.json("train", "line", "--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x")
    made.json("deploy", "line:1")
    token = made.token()
    made.stop()
    return made.home, token


@pytest.fixture
def home(seed: tuple[Path, str], tmp_path: Path) -> Iterator[Path]:
    """A home of one's own, prepared as before the roles are started."""
    copy = tmp_path / "home"
    shutil.copytree(seed[0], copy)
    run_dir = config.load(copy).run_dir
    homes.prepare_run_dir(run_dir)
    make_local_token(run_dir)
    yield copy
    presence.clear(run_dir)
    assert not run_dir.exists()  # the endpoint's socket went too


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start roles in it; they are ended after the test."""
    made: list[Service] = []
    own = {
        "FALAJ_INFERENCE_PORT": str(free_port()),
        "FALAJ_ADMIN_PORT": str(free_port()),
        "FALAJ_INFERENCE_WORKERS": "1",
        "FALAJ_INFERENCE_STUCK_SECONDS": "5",
        "PYTHONPATH": STUCK,
        "STUCK_FILE": str(home.parent / "stuck"),
    }

    def begin(role: str, settings: dict[str, str] | None = None, **more: Any) -> Service:
        made.append(Service(role, home, own | (settings or {}), **more))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def hurt(service: Service, how: str) -> int:
    """Have its one worker hang or lie from now on; its process."""
    (worker,) = service.workers()
    unfinished = service.folder / "stuck.new"
    unfinished.write_text(f"{how} {worker.pid}")
    unfinished.rename(service.folder / "stuck")
    return worker.pid


def asked(service: Service, token: str, timeout: float = 30) -> float:
    """The endpoint's answer for the known row."""
    port = int(service.settings["FALAJ_INFERENCE_PORT"])
    reply = httpx.post(
        f"http://127.0.0.1:{port}/predict/line", json=ROW, headers={"X-Api-Key": token}, timeout=timeout
    )
    assert reply.status_code == 200, reply.text
    return float(reply.json()["predictions"][0]["value"])


def answered(service: Service, token: str) -> float | None:
    try:
        return asked(service, token)
    except httpx.HTTPError:
        return None


def environment(pid: int) -> set[str]:
    raw = Path(f"/proc/{pid}/environ").read_bytes()
    return {entry.partition(b"=")[0].decode() for entry in raw.split(b"\0")}


def test_inference_is_ready_when_it_answers(start: Start, seed: tuple[Path, str]) -> None:
    service = start("inference")
    service.hear("READY=1")
    assert 250 < asked(service, seed[1]) < 350
    assert service.told[0] == "STATUS=0 of 1 workers are ready", "it was not asked before it was ready"
    service.hear("WATCHDOG=1", times=3)
    assert service.stop() == 0
    service.hear("STOPPING=1")


def test_admin_is_ready_when_both_doors_answer(start: Start, home: Path) -> None:
    service = start("admin")
    service.hear("READY=1")
    assert Client(home).call("status")["roles"]["admin"]["ready"]
    port = int(service.settings["FALAJ_ADMIN_PORT"])
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").json() == {"live": True}
    service.hear("WATCHDOG=1", times=3)
    assert service.stop() == 0
    service.hear("STOPPING=1")


def test_the_worker_is_ready_when_its_threads_go_round(start: Start, home: Path) -> None:
    service = start("worker")
    service.hear("READY=1")
    assert presence.present(config.load(home).run_dir, "worker")
    service.hear("WATCHDOG=1", times=3)
    assert service.stop() == 0
    service.hear("STOPPING=1")


def test_a_stopped_role_gives_no_sign(start: Start) -> None:
    """Each ping needs the process itself: none is left over, and they come again with it."""
    service = start("admin")
    service.hear("WATCHDOG=1", times=2)
    service.process.send_signal(signal.SIGSTOP)
    service.forget()
    with pytest.raises(AssertionError, match="never told"):
        service.hear("WATCHDOG=1", seconds=3)
    service.process.send_signal(signal.SIGCONT)
    service.hear("WATCHDOG=1", times=2)


@pytest.mark.parametrize("how", ["hang", "stop"])
def test_a_stuck_worker_is_replaced_and_the_others_live_on(
    start: Start, seed: tuple[Path, str], how: str
) -> None:
    service = start("inference")
    service.hear("READY=1")
    right = asked(service, seed[1])
    (worker,) = service.workers()
    if how == "hang":
        hurt(service, "hang")
    else:
        worker.suspend()
    until(lambda: service.workers() and worker not in service.workers(), 60)
    assert "it has given no sign of life for 5 seconds" in service.log
    assert until(lambda: answered(service, seed[1]), 60) == right
    service.hear("WATCHDOG=1", times=3)


def test_without_the_proof_nobody_sees_a_stuck_worker(start: Start, seed: tuple[Path, str]) -> None:
    """The test above has teeth: it is the proof that finds the worker."""
    service = start("inference", {"STUCK_WITHOUT": "proof"})
    service.hear("READY=1")
    pid = hurt(service, "hang")
    service.forget()
    service.hear("WATCHDOG=1", times=24)  # 12 seconds, more than twice the 5
    assert [worker.pid for worker in service.workers()] == [pid]
    with pytest.raises(httpx.TimeoutException):
        asked(service, seed[1], timeout=1)


def test_pings_stop_while_a_stuck_worker_cannot_be_ended(start: Start) -> None:
    service = start("inference", {"STUCK_WITHOUT": "end"})
    service.hear("READY=1")
    (worker,) = service.workers()
    worker.suspend()
    service.hear("STATUS=a stuck worker can't be ended")
    service.forget()
    with pytest.raises(AssertionError, match="never told"):
        service.hear("WATCHDOG=1", seconds=3)
    worker.resume()
    service.hear("WATCHDOG=1", times=3)


def test_a_worker_that_answers_wrongly_is_told_and_replaced(
    seed: tuple[Path, str], tmp_path: Path, new_appliance: Callable[..., Appliance]
) -> None:
    """Under `falaj run`, without any service manager."""
    shutil.copytree(seed[0], tmp_path / "home")
    settings = {"PYTHONPATH": STUCK, "STUCK_FILE": str(tmp_path / "stuck"), "FALAJ_INFERENCE_WORKERS": "1"}
    made = new_appliance(tmp_path / "home", **settings).start()
    right = made.ask("/predict/line", ROW, seed[1]).body["predictions"]
    (worker,) = processes.of_role(made, "inference-worker")
    (tmp_path / "stuck.new").write_text(f"lie {worker.pid}")
    (tmp_path / "stuck.new").rename(tmp_path / "stuck")
    lost = until(lambda: Client(made.home).call("status")["roles"]["inference"]["lost"], 60)
    assert lost["line:1"].startswith("it answered a known row wrongly: "), lost
    until(lambda: Client(made.home).call("status")["ready"] and not made.json("status")["troubles"], 60)
    assert made.ask("/predict/line", ROW, seed[1]).body["predictions"] == right
    assert worker.pid not in [one.pid for one in processes.of_role(made, "inference-worker")]
    assert "line:1 answers a known row wrongly" in made.log()


def test_a_damaged_registry_stops_neither_pings_nor_predictions(
    start: Start, home: Path, seed: tuple[Path, str]
) -> None:
    services = [start(role) for role in ("inference", "admin", "worker")]
    for service in services:
        service.hear("READY=1")
    with open(home / "registry.db", "r+b") as file:
        for page in range(1, (home / "registry.db").stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    (home / "registry.db-wal").write_bytes(b"")
    for service in services:
        service.forget()
        service.hear("WATCHDOG=1", times=6)
    told = until(lambda: Client(home).call("status")["troubles"])
    assert told[0]["trouble"] == "registry.db is damaged: what was stored there cannot be read."
    assert 250 < asked(services[0], seed[1]) < 350


def test_roles_without_a_network_answer_on_the_sockets_that_they_are_given(
    start: Start, home: Path, seed: tuple[Path, str]
) -> None:
    made = [socket.create_server((host, 0)) for host in ("127.0.0.1", "0.0.0.0")]
    page = socket.create_server(("::1", 0), family=socket.AF_INET6)
    alone = ("unshare", "--net")
    service = start("inference", sockets=[("inference", sock) for sock in made], prefix=alone)
    admin = start("admin", sockets=[("admin", page)], prefix=alone)
    for one in (service, admin):
        one.hear("READY=1")
    key = {"X-Api-Key": seed[1]}
    plain, secure = (sock.getsockname()[1] for sock in made)
    reply = httpx.post(f"http://127.0.0.1:{plain}/predict/line", json=ROW, headers=key)
    assert reply.status_code == 200, reply.text
    unknown = ssl._create_unverified_context()
    over_tls = httpx.post(f"https://127.0.0.1:{secure}/predict/line", json=ROW, headers=key, verify=unknown)
    assert over_tls.json()["predictions"] == reply.json()["predictions"]
    assert httpx.get(f"http://[::1]:{page.getsockname()[1]}/healthz").status_code == 200
    by_socket = Client(home).call("predict", model="line", rows=ROW["rows"])
    assert by_socket["predictions"] == reply.json()["predictions"]
    for pid in (service.process.pid, service.workers()[0].pid, admin.process.pid):
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in lines] == ["lo"]
        assert {int(word) for word in lines[0].split(":")[1].split()} == {0}, lines
    handed = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
    assert handed <= environment(service.process.pid)
    assert not handed & environment(service.workers()[0].pid)
    call = f"import socket; socket.create_connection(('127.0.0.1', {plain}), 5)"
    enter = ["nsenter", f"--target={service.process.pid}", "--net", sys.executable, "-c", call]
    out = subprocess.run(enter, capture_output=True, text=True, timeout=30, check=False)
    assert "Network is unreachable" in out.stderr, out
    for sock in (*made, page):
        sock.close()


def test_the_endpoint_on_its_socket_is_for_its_own_account(
    start: Start, home: Path, seed: tuple[Path, str]
) -> None:
    """A caller without an address is refused, counted and answered as any other."""
    service = start("inference")
    service.hear("READY=1")
    path = config.load(home).run_dir / "endpoint.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    statuses = []
    for token in ("wrong", seed[1]):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        for _ in range(2):  # the connection is kept
            connection.request("POST", "/predict/line", json.dumps(ROW), {"X-Api-Key": token})
            reply = connection.getresponse()
            statuses.append(reply.status)
            reply.read()
        connection.close()
    assert statuses == [401, 401, 200, 200]
    assert service.stop() == 0
    refused = [row for row in entries(home) if row["action"] == "access.refused"]
    assert (refused[-1]["actor"], json.loads(refused[-1]["detail"])["refused"]) == (
        "address:local",
        {"401": 2},
    )


def entries(home: Path) -> list[dict[str, Any]]:
    return homes.open_home(home).registry.all("SELECT * FROM audit ORDER BY seq")


@pytest.mark.parametrize(
    ("role", "names", "told"),
    [
        ("worker", ["admin"], "The role worker was handed a socket named 'admin', which is not for it."),
        ("worker", ["worker"], "The role worker listens on no socket."),
        ("inference", ["inference", "page"], "The role inference was handed a socket named 'page'"),
        ("inference-worker", [], "An inference worker needs the sockets of its parent (--fd)."),
    ],
)
def test_what_does_not_fit_a_role_is_said(start: Start, role: str, names: list[str], told: str) -> None:
    made = [(name, socket.create_server(("127.0.0.1", 0))) for name in names]
    service = start(role, sockets=made)
    assert service.process.wait(60) == 1
    assert told in service.log
    assert "Traceback" not in service.log
    for _, sock in made:
        sock.close()
