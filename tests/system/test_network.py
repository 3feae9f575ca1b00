"""From another machine: TLS under the appliance's own authority, and nothing without it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.appliance import Appliance
from tests.system.networks import Answer, Neighbour, Network
from tests.system.processes import until

SERVER = "10.77.0.1"
ROW = '{"rows": [{"size": 80}]}'
_CURL_TRUST, _CURL_EMPTY, _CURL_TLS, _CURL_REFUSED = 60, 52, 35, 7


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Network()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[Neighbour]:
    """An appliance that answers for one model: plain on its loopback, TLS on its address."""
    folder = tmp_path_factory.mktemp("network")
    host = f"127.0.0.1, {SERVER}"
    settings = {"FALAJ_INFERENCE_HOST": host, "FALAJ_ADMIN_HOST": host}
    made = Neighbour(folder / "home", settings, network=network)
    rows = "\n".join(f"{size},{2 * size}" for size in range(20, 220))
    (folder / "homes.csv").write_text(f"size,price\n{rows}\n")
    made.start()
    made.json("dataset", "add", "homes", str(folder / "homes.csv"))
    told = ("--dataset", "homes", "--target", "price", "--algorithm", "linear", "--budget", "20s")
    made.json("train", "price", *told)
    made.json("deploy", "price")
    yield made
    made.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, network: Network) -> Iterator[Callable[..., Neighbour]]:
    """Start another appliance on the same server, by settings; it is stopped at the end."""
    made: list[Neighbour] = []

    def start(**settings: str) -> Neighbour:
        made.append(Neighbour(tmp_path / f"home{len(made)}", settings, network=network))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def predict(appliance: Neighbour, url: str, token: str, *options: str, at: str = "") -> Answer:
    assert appliance.network is not None
    told = ("--header", f"Authorization: Bearer {token}", "--data", ROW, *options)
    return appliance.network.curl(f"{url}/predict/price", *told, at=at)


def fingerprint(appliance: Neighbour, address: str, port: int) -> str:
    """Of what is shown there to the office, as openssl sees it."""
    assert appliance.network is not None
    inside = appliance.network.inside(appliance.network.office)
    shown = subprocess.run(
        [*inside, "openssl", "s_client", "-connect", f"{address}:{port}"],
        input="", capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=shown.stdout, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    return told.stdout.strip().partition("=")[2]


def test_the_office_predicts_over_tls_and_only_so(trained: Neighbour, elsewhere: Callable[..., Any]) -> None:
    token, ca = trained.token("price"), str(trained.authority())
    secure, plain = f"https://{SERVER}:{trained.port}", f"http://{SERVER}:{trained.port}"
    answer = predict(trained, secure, token, "--cacert", ca)
    assert (answer.code, answer.status) == (0, 200), answer
    assert answer.body["predictions"][0]["value"] == pytest.approx(160, rel=0.1)
    assert predict(trained, secure, "falaj_no", "--cacert", ca).status == 401
    assert predict(trained, plain, token).code in (_CURL_EMPTY, 56, 1), "plain HTTP was answered"
    assert predict(trained, secure, token).code == _CURL_TRUST
    other = elsewhere()
    assert predict(trained, secure, token, "--cacert", str(other.authority())).code == _CURL_TRUST
    assert predict(trained, f"https://{SERVER}:{other.port}", token, "--cacert", ca).code == _CURL_REFUSED
    # teeth: the very request that is refused from outside is answered where it may be
    assert trained.network is not None
    at, loopback = trained.network.server, f"//127.0.0.1:{trained.port}"
    assert predict(trained, f"http:{loopback}", token, at=at).status == 200
    assert predict(trained, f"https:{loopback}", token, at=at).code == _CURL_TLS


def test_the_admin_port_too(trained: Neighbour) -> None:
    network, ca = trained.network, str(trained.authority())
    assert network is not None
    secure = f"https://{SERVER}:{trained.admin_port}/healthz"
    assert network.curl(secure, "--cacert", ca).body == {"live": True}
    assert network.curl(secure).code == _CURL_TRUST
    assert network.curl(secure.replace("https", "http")).code != 0
    plain = f"http://127.0.0.1:{trained.admin_port}/healthz"
    assert network.curl(plain, at=network.server).status == 200


def test_what_the_appliance_says_of_itself_is_so(trained: Neighbour) -> None:
    shown = trained.json("certificate", "show")
    for port in (trained.port, trained.admin_port):
        assert shown["fingerprint"] == fingerprint(trained, SERVER, port)
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(trained.authority())],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert told.stdout.strip().endswith(shown["authority"]["fingerprint"])
    assert SERVER in shown["addresses"]
    role = trained.json("status")["roles"]["inference"]
    assert role["address"] == role["addresses"][0] == f"http://127.0.0.1:{trained.port}"
    assert f"https://{SERVER}:{trained.port}" in role["addresses"]
    assert f"https://{SERVER}:{trained.admin_port}" in shown["open"]["admin"]
    assert {check["check"]: check["ok"] for check in trained.json("doctor")}["certificate"]
    people = trained.falaj("certificate", "show").stdout
    assert shown["fingerprint"] in people
    assert "made by the appliance" in people


class Caller:
    """Somebody in the office who asks again and again, each time over a new connection."""

    def __init__(self, appliance: Neighbour, token: str, ca: str) -> None:
        self.answers: list[Answer] = []
        self._done = threading.Event()
        self._ask = lambda: predict(appliance, f"https://{SERVER}:{appliance.port}", token, "--cacert", ca)
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(2)]

    def _call(self) -> None:
        while not self._done.is_set():
            self.answers.append(self._ask())

    def __enter__(self) -> Caller:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *told: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(40)


def test_a_new_address_gets_a_new_certificate_by_itself(trained: Neighbour) -> None:
    token, ca = trained.token("price"), str(trained.authority())
    before = trained.json("certificate", "show")["fingerprint"]
    assert trained.network is not None
    with Caller(trained, token, ca) as caller:
        trained.network.join("10.77.0.9")
        until(lambda: "10.77.0.9" in trained.json("certificate", "show")["addresses"], 40)
        until(lambda: fingerprint(trained, SERVER, trained.port) != before, 20)
        time.sleep(4)  # until the workers with the old one have left
    assert len(caller.answers) > 20
    wrong = [answer for answer in caller.answers if answer.status != 200]
    assert wrong == []
    entries = trained.json("audit", "ls", "--limit", "10")
    newest = next(one for one in entries if one["action"] == "certificate.issue")
    assert newest["actor"] == "system"
    assert newest["detail"]["why"] == "the names or addresses of the machine changed"


def test_renewing_by_hand_drops_nothing_and_is_in_force(trained: Neighbour) -> None:
    token, ca = trained.token("price"), str(trained.authority())
    with Caller(trained, token, ca) as caller:
        for _ in range(2):
            renewed = trained.json("certificate", "renew")
            assert renewed["in_force"]
            assert renewed["fingerprint"] == fingerprint(trained, SERVER, trained.port)
            assert renewed["fingerprint"] == fingerprint(trained, SERVER, trained.admin_port)
    assert {answer.status for answer in caller.answers} == {200}


def test_a_certificate_of_ones_own(trained: Neighbour, tmp_path: Path) -> None:
    token = trained.token("price")
    ours, key = tmp_path / "own.pem", tmp_path / "own.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", ours, "-days", "30", "-subj", "/CN=till",
         "-addext", f"subjectAltName=DNS:till.example.com,IP:{SERVER}"],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    authority = str(trained.authority())
    secure = f"https://{SERVER}:{trained.port}"
    assert trained.refused("certificate", "use", str(ours), str(ours))["error"].startswith("The key file")
    assert trained.refused("certificate", "use", str(ours), str(tmp_path / "no"))["hint"]
    used = trained.json("certificate", "use", str(ours), str(key))
    assert (used["source"], used["in_force"]) == ("own", True)
    assert "127.0.0.1" not in used["not_covered"]
    assert SERVER not in used["not_covered"]
    assert used["not_covered"]
    assert predict(trained, secure, token, "--cacert", str(ours)).status == 200
    assert predict(trained, secure, token, "--cacert", authority).code == _CURL_TRUST
    key_line = key.read_text().splitlines()[1]
    logs = [path for path in trained.home.rglob("*") if path.is_file()]
    assert not [path for path in logs if key_line.encode() in path.read_bytes()]
    assert trained.json("certificate", "forget")["source"] == "authority"
    assert predict(trained, secure, token, "--cacert", authority).status == 200
    actions = [entry["action"] for entry in trained.json("audit", "ls", "--limit", "20")]
    assert {"certificate.use", "certificate.forget"} <= {*actions}
    assert trained.refused("certificate", "forget")["error"].startswith("There is no certificate of your own")


def test_every_address_speaks_tls_and_the_command_line_still_works(
    elsewhere: Callable[..., Neighbour],
) -> None:
    """One socket for all addresses has TLS on the loopback too; `falaj` finds its way in."""
    made = elsewhere(FALAJ_INFERENCE_HOST="0.0.0.0", FALAJ_ADMIN_HOST="::")
    ca, network = str(made.authority()), made.network
    assert network is not None
    for port in (made.port, made.admin_port):
        for where, at in (("127.0.0.1", network.server), (SERVER, network.office)):
            assert network.curl(f"https://{where}:{port}/healthz", "--cacert", ca, at=at).status == 200
            assert network.curl(f"http://{where}:{port}/healthz", at=at).code != 0
    assert made.json("status")["roles"]["inference"]["address"] == f"https://127.0.0.1:{made.port}"
    told = made.refused("predict", "price", "--row", '{"size": 80}')
    assert "price" in told["error"], "the endpoint itself said that there is no such model"
    made.json("certificate", "renew", "--new-authority")
    assert network.curl(f"https://{SERVER}:{made.port}/healthz", "--cacert", ca).code == _CURL_TRUST
    assert "price" in made.refused("predict", "price", "--row", '{"size": 80}')["error"]


def test_an_address_that_comes_only_later(elsewhere: Callable[..., Neighbour]) -> None:
    made = elsewhere(FALAJ_INFERENCE_HOST="127.0.0.1, 10.77.0.33", FALAJ_ADMIN_HOST="127.0.0.1")
    network, ca = made.network, str(made.authority())
    assert network is not None
    link = f"https://10.77.0.33:{made.port}/healthz"
    assert network.curl(link, "--cacert", ca, "--connect-timeout", "1").code != 0
    network.join("10.77.0.33")
    until(lambda: network.curl(link, "--cacert", ca, "--connect-timeout", "2").status == 200, 60)


def test_where_only_this_machine_listens_nothing_changes(appliance: Appliance) -> None:
    shown = appliance.json("certificate", "show")
    assert shown["open"] == {"admin": [], "inference": []}
    assert appliance.json("status")["roles"]["admin"]["addresses"] == [
        f"http://127.0.0.1:{appliance.admin_port}"
    ]
    assert "by this machine only" in appliance.falaj("certificate", "show").stdout
