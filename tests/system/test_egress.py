"""The only way out: allowed by name, refused otherwise, counted, and by a process that holds nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import config
from appliance import home as homes
from appliance.cli.client import Client
from appliance.egress import client, folder
from appliance.errors import Unavailable
from appliance.home import open_home
from appliance.monitoring import outgoing
from appliance.security import certificates
from appliance.security.authority import named
from appliance.security.refusals import Refusals
from tests.conftest import ROOT
from tests.system import processes
from tests.system.appliance import Appliance
from tests.system.networks import Neighbour, Network, run
from tests.system.processes import until
from tests.unit.egress.outside import Server, running

SERVER, LATER = "10.77.0.1", "10.77.0.77"


@pytest.fixture
def outside() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server
        server.over.set()


def counted(appliance: Appliance, address: str) -> dict[str, int]:
    """Calls by verdict, as they are written down."""
    calls = Client(appliance.home).call("egress.ls")["calls"]
    return {one["verdict"]: one["calls"] for one in calls if f"{one['host']}:{one['port']}" == address}


def place(appliance: Appliance) -> Path:
    return config.load(appliance.home).egress_dir


def test_from_nothing_to_a_call_and_back(new_appliance: Callable[..., Appliance], outside: Server) -> None:
    """By command, over the API and on the page; as an admin, and as somebody who may only look."""
    made, url = new_appliance().start(), f"http://{outside.address}/hidden?word=1"
    admin, viewer = made.set_up(), made.add_user("vera", "viewer")
    assert made.json("egress", "ls")["rules"] == []
    tried = made.falaj("egress", "test", url)
    assert tried.returncode == 1
    assert f"{outside.address} is not allowed." in tried.stdout
    assert outside.seen == []

    made.json("egress", "allow", outside.address, "--purpose", "a test")
    assert made.json("egress", "test", url)["status"] == 200
    assert made.json("egress", "deny", outside.address)["in_force"]
    assert made.falaj("egress", "test", url).returncode == 1
    assert len(outside.seen) == 1

    rule = {"address": outside.address, "purpose": "a test"}
    for method, path, body in (
        ("POST", "rules", rule), ("DELETE", f"rules/{outside.address}", None), ("POST", "test", {"url": url}),
    ):  # fmt: skip
        assert viewer.request(method, f"/api/v1/egress/{path}", json=body).status_code == 403
    assert admin.post("/api/v1/egress/rules", json=rule).status_code == 201
    assert admin.post("/api/v1/egress/test", json={"url": url}).json()["status"] == 200
    assert viewer.get("/api/v1/egress").json()["rules"][0]["added_by"] == "user:mona"
    page = admin.get("/egress", headers={"Accept": "text/html"}).text
    assert "One address may be called" in page
    assert "/egress/allow" in page
    assert "/egress/allow" not in viewer.get("/egress", headers={"Accept": "text/html"}).text
    assert admin.delete(f"/api/v1/egress/rules/{outside.address}").json()["removed"]
    assert "Nothing may leave" in admin.get("/egress", headers={"Accept": "text/html"}).text

    until(lambda: counted(made, outside.address) == {"done": 2, "refused": 2})
    until(lambda: "access.refused" in {one["action"] for one in made.json("audit", "ls", "--limit", "30")})
    told = [one for one in made.json("audit", "ls", "--limit", "30") if "egress:" in one["subject"]]
    assert {one["subject"] for one in told} == {f"egress:{outside.address}"}
    done = [
        (one["actor"], one["action"])
        for one in told[::-1]
        if one["action"] not in ("access.refused", "egress.test")
    ]
    assert done == [
        ("cli:root", "egress.allow"), ("cli:root", "egress.deny"),
        ("user:mona", "egress.allow"), ("user:mona", "egress.deny"),
    ]  # fmt: skip
    assert made.json("audit", "verify")["ok"]
    assert "hidden" not in made.log()
    admin.close()
    viewer.close()


def test_counts_survive_kills(new_appliance: Callable[..., Appliance], outside: Server) -> None:
    """What was collected stays through kill -9 of the role and of the collector, and is counted once."""
    made = new_appliance().start()
    made.json("egress", "allow", outside.address, "--purpose", "a test")
    where, expected = place(made), 0
    for victim in ("egress", "worker", "egress"):
        for _ in range(5):
            assert client.request(where, "GET", f"http://{outside.address}/").status == 200
        expected += 5
        until(lambda: counted(made, outside.address) == {"done": expected})  # noqa: B023
        (process,) = processes.of_role(made, victim)
        process.kill()
        until(lambda: processes.gone([process]))  # noqa: B023
        if victim == "egress":
            with contextlib.suppress(Unavailable):  # or it has been started again already
                client.request(where, "GET", f"http://{outside.address}/")
                expected += 1
        until(lambda: made.json("status")["ready"])
    until(lambda: counted(made, outside.address) == {"done": expected})
    assert len(outside.seen) == expected


def test_a_batch_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: Server) -> None:
    """Also where the collector dies before it could say that it has it; teeth: without that memory, twice."""
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path))
    home = homes.create(tmp_path / "home")
    folder.prepare(home.config.egress_dir)
    role = subprocess.Popen(
        [sys.executable, "-m", "appliance.daemon", "egress", "--home", str(home.path)], cwd=ROOT
    )
    try:
        until(lambda: client.is_ready(home.config.egress_dir))
        with contextlib.suppress(Exception):
            client.request(home.config.egress_dir, "GET", f"http://{outside.address}/")
        refusals = Refusals(home.registry, "egress")

        def calls() -> int:
            return sum(one["calls"] for one in outgoing.recent(home.telemetry, ""))

        outgoing.collect(home, refusals)
        outgoing.collect(home, refusals)
        assert calls() == 1
        with contextlib.suppress(Exception):
            client.request(home.config.egress_dir, "GET", f"http://{outside.address}/")
        outgoing.collect(home, refusals)
        with home.telemetry.write() as tx:
            tx.execute("DELETE FROM egress_batch")
        outgoing.collect(home, refusals)
        assert calls() == 3
    finally:
        role.terminate()
        assert role.wait(20) == 0


def test_the_process_holds_nothing(appliance: Appliance) -> None:
    """No key, no database, none of the libraries that could open one; teeth: the worker has all of it."""

    def holds(role: str) -> tuple[bool, bool]:
        (process,) = processes.of_role(appliance, role)
        mapped = {one.path for one in process.memory_maps()}
        opened = {one.path for one in process.open_files()}
        libraries = [
            path for path in mapped if "sqlcipher" in path or "numpy" in path or "cryptography" in path
        ]
        return bool(libraries), any(path.startswith(f"{appliance.home}/") for path in mapped | opened)

    assert holds("egress") == (False, False)
    assert holds("worker") == (True, True)


def test_the_file_follows_the_registry(appliance: Appliance) -> None:
    """Whoever writes an address into the file alone has opened nothing for long, and the doctor sees it."""
    allowed = place(appliance) / "allowed.json"
    before = allowed.read_text()
    for wrong in ('{"rules": [{"host": "evil.example", "port": 443}]}', "nonsense"):
        allowed.write_text(wrong)
        until(lambda: allowed.read_text() == before)
    allowed.unlink()
    until(lambda: allowed.exists() and allowed.read_text() == before)
    checks = {one["check"]: one for one in appliance.json("doctor")}
    assert checks["egress"]["ok"]


def test_while_it_does_not_answer_all_else_goes_on(new_appliance: Callable[..., Appliance]) -> None:
    made = new_appliance().start()
    shown = made.json("certificate", "show")["fingerprint"]
    (role,) = processes.of_role(made, "egress")
    role.suspend()
    status = made.json("status")
    assert not status["ready"]
    assert status["roles"]["egress"] == {"ready": False, "pids": []}
    assert status["roles"]["admin"]["ready"]
    told = made.falaj("doctor")
    assert "the part that calls out does not answer" in told.stdout
    assert made.refused("egress", "test", "https://a.example/")["error"].endswith("does not answer.")
    certificates.tend(open_home(made.home))
    assert made.json("certificate", "show")["fingerprint"] == shown
    role.resume()
    until(lambda: made.json("status")["ready"])


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Network()
    run("ip", "netns", "add", f"{made.name}e")  # with nothing but a loopback
    run("ip", "-n", f"{made.name}e", "link", "set", "lo", "up")
    yield made
    run("ip", "netns", "del", f"{made.name}e")
    made.remove()


def test_roles_without_a_network_know_the_addresses(network: Network, tmp_path: Path) -> None:
    """As systemd runs them. Teeth: a role that looks for itself sees no address, and loses them."""
    home = homes.create(tmp_path / "home")
    where = home.config.egress_dir
    folder.prepare(where)
    roles: list[subprocess.Popen[bytes]] = []

    def start(space: str, role: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "appliance.daemon", role, "--home", str(home.path)]
        roles.append(subprocess.Popen(network.inside(space, *command), cwd=ROOT))
        return roles[-1]

    def addresses() -> set[str]:
        shown = certificates.current(home)
        return set(named(shown.certificate).addresses) if shown else set()

    try:
        egress = start(network.server, "egress")
        until(lambda: client.is_ready(where))
        start(f"{network.name}e", "worker")
        until(lambda: SERVER in addresses(), 30)
        network.join(LATER)
        until(lambda: {SERVER, LATER} <= addresses(), 30)
        before = certificates.current(home)
        for harm in (signal.SIGSTOP, signal.SIGKILL):
            egress.send_signal(harm)
            assert client.is_ready(where) is None
            tend_in(network, home.path)
            assert certificates.current(home) == before, "it never loses its addresses"
        folder.clear(where)  # teeth: nobody to ask, so it looks for itself
        tend_in(network, home.path)
        assert addresses() == {"127.0.0.1", "::1"}
    finally:
        for role in roles:
            role.kill()
            role.wait(10)
        folder.clear(where)


def tend_in(network: Network, home: Path) -> None:
    """What the worker does every ten seconds, in the namespace without a network."""
    code = (
        "import sys, pathlib; from appliance import home; from appliance.security import certificates as c; "
    )
    code += "c.tend(home.open_home(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(home)]
    subprocess.run(network.inside(f"{network.name}e", *command), cwd=ROOT, check=True, timeout=60)


_ASK = """
import sys, zeroconf
found = zeroconf.Zeroconf().get_service_info("_https._tcp.local.", "shop._https._tcp.local.", 1000)
print(found.server, found.port, *found.parsed_addresses()) if found else None
"""


def test_it_announces_its_name_in_the_office(network: Network, tmp_path: Path) -> None:
    """Asked from another machine; the certificate is for that name too. Without the setting, silence."""
    host = f"127.0.0.1, {SERVER}"

    def heard() -> str:
        command = network.inside(network.office, sys.executable, "-c", _ASK)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    for name in ("", "shop.local"):
        settings = {"FALAJ_ADMIN_HOST": host, "FALAJ_MDNS_NAME": name}
        made = Neighbour(tmp_path / f"home{name}", settings, network=network)
        made.start()
        try:
            if not name:
                assert heard() == ""
                continue
            assert until(heard) == f"shop.local. {made.admin_port} {SERVER}\n"
            assert "shop.local" in made.json("certificate", "show")["names"]
        finally:
            made.stop()
