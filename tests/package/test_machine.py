"""The package on a booted Debian 12: what only a running systemd can show. Slow: docs/testing.md.

Each test has a machine of its own, a copy of one on which the package was installed and started once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.package.machine import ADDRESS, OFFICE, Machine, booted

pytestmark = pytest.mark.slow

SEEN = ("falaj-inference", "falaj-admin", "falaj-worker")
ROW = '{"rows": [{"tenure": 2, "contract": "Month-to-month", "monthly": 99}]}'

FIND = f"""
import zeroconf
net = zeroconf.Zeroconf(interfaces=["{OFFICE}"])
found = net.get_service_info("_https._tcp.local.", "shop._https._tcp.local.", 3000)
print(found and found.parsed_addresses())
net.close()
"""


def until(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `look` gives, as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.2)
    return found


def falaj(machine: Machine, *words: str) -> Any:
    return json.loads(machine.inside("falaj", *words, "--json").out)


def with_a_model(machine: Machine) -> str:
    """A model that answers, and a token for it."""
    lines = ["tenure,contract,monthly,left"]
    for number in range(600):
        contract = ("Month-to-month", "One year", "Two year")[number % 3]
        tenure, monthly = number % 71 + 1, 20 + number % 97
        leaves = (contract == "Month-to-month") + monthly / 80 - tenure / 40 + (number % 7) / 10 > 1
        lines.append(f"{tenure},{contract},{monthly},{'yes' if leaves else 'no'}")
    (machine.root / "root" / "customers.csv").write_text("\n".join(lines) + "\n")
    falaj(machine, "dataset", "add", "customers", "/root/customers.csv")
    falaj(machine, "train", "churn", "--dataset", "customers", "--target", "left", "--budget", "10s")
    falaj(machine, "deploy", "churn")
    return str(falaj(machine, "token", "create", "--models", "churn")["token"])


def predicts(machine: Machine, token: str) -> bool:
    """Whether a program on the machine gets its prediction."""
    asked = ["curl", "-s", "--max-time", "10", "http://127.0.0.1:7601/predict/churn", "-d", ROW]
    said = machine.inside(*asked, "-H", f"Authorization: Bearer {token}", check=False)
    return said.code == 0 and '"label"' in said.out


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.inside("systemctl", "show", "--value", "-p", "MainPID", unit).out)


def packets(machine: Machine, unit: str) -> dict[str, int]:
    """Packets in and out of each interface that the main process of a unit sees."""
    table = machine.inside("cat", f"/proc/{main_pid(machine, unit)}/net/dev").out
    rows = re.findall(r"^\s*(\w+):((?:\s+\d+)+)$", table, re.MULTILINE)
    return {name: int(told.split()[1]) + int(told.split()[9]) for name, told in rows}


def test_from_the_package_to_a_prediction_on_the_page(debian: Path, package: Path, tmp_path: Path) -> None:
    """Installed, set up and used in under three minutes, as the README says."""
    subprocess.run(["cp", "-a", "--reflink=auto", debian, tmp_path / "debian"], check=True)
    shutil.copy(package, tmp_path / "debian" / "root" / "falaj.deb")
    with booted(tmp_path / "debian") as machine:
        began = time.monotonic()
        machine.inside("dpkg", "-i", "/root/falaj.deb")
        machine.until_ready()
        code = machine.inside("falaj", "setup-code").out.split()[0]
        print(f"installed and ready: {time.monotonic() - began:.1f} s")
        visit = [sys.executable, "-m", "tests.package.first_visit", "http://127.0.0.1:7600", code]
        done = subprocess.run(
            ["nsenter", "-t", str(machine.leader), "-n", *visit],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        took = time.monotonic() - began
        print(f"{done.stdout}in all: {took:.1f} s")
        assert done.returncode == 0, done.stderr[-2000:]
        assert took < 180
        console = machine.console.read_text(errors="replace")
        assert re.search(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", console), "the console told the set-up code"
        journal = machine.inside("journalctl", "-b", "--no-pager").out
        assert not re.search(r"^ +[0-9A-Z]{5}-[0-9A-Z]{5}$", journal, re.MULTILINE)
        assert code not in journal


def test_the_install_script_waits_until_it_runs_and_tells_how_to_begin(
    debian: Path, bundle: Path, tmp_path: Path
) -> None:
    """From a bundle, on a machine whose only network is the office's cable."""
    subprocess.run(["cp", "-a", "--reflink=auto", debian, tmp_path / "debian"], check=True)
    shutil.copytree(bundle, tmp_path / "debian" / "srv/bundle")
    with booted(tmp_path / "debian") as machine:
        done = machine.inside("/srv/bundle/install.sh", "--offline", "/srv/bundle")
        print(f"{done.out}{done.err}")
        assert machine.is_ready(), "it did not wait"
        assert "http://127.0.0.1:7600/setup" in done.err
        assert re.search(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", done.err), "no set-up code"


def test_where_nothing_can_be_sealed_it_runs_all_the_same(
    debian: Path, package: Path, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", debian, tmp_path / "debian"], check=True)
    shutil.copy(package, tmp_path / "debian" / "root" / "falaj.deb")
    (tmp_path / "debian/usr/bin/systemd-creds").unlink()
    with booted(tmp_path / "debian") as machine:
        machine.inside("dpkg", "-i", "/root/falaj.deb")
        machine.until_ready()
        assert predicts(machine, with_a_model(machine))
        keys = {one.name for one in (machine.root / "var/lib/falaj/keys").iterdir()}
        assert ("master.key" in keys, "master.cred" in keys) == (True, False)
        assert "lies in the open" in machine.inside("falaj", "doctor", check=False).out


def test_the_office_predicts_over_tls(machine: Machine) -> None:
    token = with_a_model(machine)
    url = f"https://{ADDRESS}:7601/predict/churn"
    assert machine.office("curl", "-sk", "--max-time", "3", url, check=False).code == 7, "shut until told"
    machine.inside("falaj", "config", "set", "inference.host", f"127.0.0.1, {ADDRESS}")
    machine.until_ready()
    authority = machine.root.parent / "ca.pem"
    authority.write_text(falaj(machine, "certificate", "ca")["certificate"])
    asked = ["curl", "-s", "--cacert", str(authority), url, "-d", ROW, "-H", f"Authorization: Bearer {token}"]
    said = until(lambda: machine.office(*asked, check=False).out)
    assert json.loads(said)["predictions"][0]["label"] in ("yes", "no")
    plain = machine.office("curl", "-s", f"http://{ADDRESS}:7601/readyz", check=False)
    assert plain.code != 0, "never plain HTTP"


@pytest.mark.parametrize("role", ["inference", "admin", "worker", "egress"])
def test_a_killed_role_comes_back(machine: Machine, role: str) -> None:
    token, unit = with_a_model(machine), f"falaj-{role}.service"
    before = main_pid(machine, unit)
    machine.inside("kill", "-9", str(before))
    until(
        lambda: main_pid(machine, unit) not in (0, before) and machine.is_ready() and predicts(machine, token)
    )


@pytest.mark.parametrize("role", ["inference", "admin", "worker"])
def test_a_role_that_hangs_is_started_anew(machine: Machine, role: str) -> None:
    """Its main process is stopped (SIGSTOP); nothing but the watchdog can see that."""
    token, unit = with_a_model(machine), f"falaj-{role}.service"
    drop_in = machine.root / f"etc/systemd/system/{unit}.d/quick.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=6\n")
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", unit)
    machine.until_ready()
    before = main_pid(machine, unit)
    time.sleep(15)
    assert main_pid(machine, unit) == before, "one that is well is left alone"
    machine.inside("kill", "-STOP", str(before))
    until(
        lambda: main_pid(machine, unit) not in (0, before) and machine.is_ready() and predicts(machine, token)
    )
    assert "watchdog" in machine.inside("journalctl", "-b", "--no-pager", "-u", unit).out.lower()


def test_a_hanging_role_stays_so_without_the_watchdog(machine: Machine) -> None:
    """The teeth of the test above."""
    drop_in = machine.root / "etc/systemd/system/falaj-worker.service.d/none.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nWatchdogSec=0\n")
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", "falaj-worker")
    machine.until_ready()
    before = main_pid(machine, "falaj-worker.service")
    machine.inside("kill", "-STOP", str(before))
    time.sleep(20)
    assert main_pid(machine, "falaj-worker.service") == before


def test_no_packet_leaves_while_the_demo_runs(machine: Machine) -> None:
    """inference, admin and worker see one interface, the loopback of an empty network, and nothing on it."""
    done = machine.inside("falaj", "demo", "--json", timeout=600)
    shown = json.loads(done.out.splitlines()[-1])
    assert shown["failed_requests"] == 0
    assert "mean radius" in shown["drift_alert"]["features"]
    for unit in SEEN:
        counted = packets(machine, f"{unit}.service")
        print(f"{unit}: packets {counted}")
        assert counted == {"lo": 0}
    assert "eth0" in packets(machine, "falaj-egress.service"), "egress alone sees the machine's network"


def test_a_role_with_the_network_would_be_seen(machine: Machine) -> None:
    """The teeth of the test above: without its private network a role sees the machine's packets."""
    drop_in = machine.root / "etc/systemd/system/falaj-worker.service.d/open.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nPrivateNetwork=no\n")
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", "falaj-worker")
    machine.until_ready()
    assert "eth0" in packets(machine, "falaj-worker.service")


def test_only_what_was_allowed_goes_out(machine: Machine) -> None:
    """A server in the office: refused and counted first, reached once it is allowed by its address."""
    server = subprocess.Popen(
        ["ip", "netns", "exec", machine.name, sys.executable, "-m", "http.server", "8099"],
        cwd=machine.root.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        refused = machine.inside("falaj", "egress", "test", "http://10.78.0.2:8099/", check=False)
        assert refused.code == 1
        assert "not allowed" in refused.out
        told = until(lambda: counted(falaj(machine, "egress", "ls"), "refused"))
        assert told == 1
        falaj(machine, "egress", "allow", "10.78.0.2:8099", "--purpose", "a test")
        assert falaj(machine, "egress", "test", "http://10.78.0.2:8099/")["status"] == 200
        assert until(lambda: counted(falaj(machine, "egress", "ls"), "done")) == 1
        falaj(machine, "egress", "deny", "10.78.0.2:8099")
        assert machine.inside("falaj", "egress", "test", "http://10.78.0.2:8099/", check=False).code == 1
    finally:
        server.terminate()
        server.wait(10)


def counted(shown: Any, verdict: str) -> int:
    """How many calls ended so."""
    return sum(int(one["calls"]) for one in shown["calls"] if one["verdict"] == verdict)


def test_a_job_goes_on_after_a_reboot(machine: Machine) -> None:
    with_a_model(machine)
    words = ["train", "again", "--dataset", "customers", "--target", "left", "--budget", "25s", "--detach"]
    job = falaj(machine, *words)["job"]
    until(lambda: falaj(machine, "job", "show", job)["state"] == "running")
    machine.inside("systemctl", "reboot", check=False)
    machine.gone(90)
    machine.boot()
    machine.until_ready()
    until(lambda: falaj(machine, "job", "show", job)["state"] == "succeeded", 180)
    assert falaj(machine, "audit", "verify")["ok"]


def test_a_power_cut_in_the_middle_of_a_job(machine: Machine) -> None:
    token = with_a_model(machine)
    words = ["train", "again", "--dataset", "customers", "--target", "left", "--budget", "25s", "--detach"]
    job = falaj(machine, *words)["job"]
    until(lambda: falaj(machine, "job", "show", job)["state"] == "running")
    machine.cut()
    machine.boot()
    machine.until_ready()
    assert predicts(machine, token)
    until(lambda: falaj(machine, "job", "show", job)["state"] == "succeeded", 180)
    assert falaj(machine, "audit", "verify")["ok"]


def test_a_training_that_needs_too_much_memory_is_ended(machine: Machine) -> None:
    token = with_a_model(machine)
    machine.inside("falaj", "config", "set", "jobs.memory_mb", "120")
    machine.until_ready()
    done = machine.inside(
        "falaj", "train", "big", "--dataset", "customers", "--target", "left", "--budget", "20s", check=False
    )
    assert done.code == 1
    assert "MiB" in done.err
    assert predicts(machine, token)


def test_a_setting_that_keeps_a_service_from_starting_is_told(machine: Machine) -> None:
    other = subprocess.Popen(
        ["nsenter", "-t", str(machine.leader), "-n", sys.executable, "-m", "http.server", "7701"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        done = machine.inside("falaj", "config", "set", "inference.port", "7701", check=False)
        assert done.code == 1
        assert "does not start: falaj-inference.socket" in done.err
    finally:
        other.terminate()
        other.wait(10)
    machine.inside("falaj", "config", "unset", "inference.port")
    machine.until_ready()


def test_its_name_is_announced_when_that_is_wanted(machine: Machine) -> None:
    machine.inside("falaj", "config", "set", "mdns.name", "shop.local", "--no-restart")
    machine.inside("falaj", "config", "set", "admin.host", f"127.0.0.1, {ADDRESS}")
    machine.until_ready()
    until(lambda: ADDRESS in machine.office(sys.executable, "-c", FIND, check=False).out)


def test_a_taken_port_is_named(machine: Machine) -> None:
    machine.inside("systemctl", "stop", "falaj.target", "falaj-*.service", "falaj-*.socket")
    other = subprocess.Popen(
        ["nsenter", "-t", str(machine.leader), "-n", sys.executable, "-m", "http.server", "7601"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        machine.inside("systemctl", "start", "falaj.target", check=False)
        until(lambda: "7601" in machine.inside("falaj", "doctor", check=False).out)
        said = machine.inside("falaj", "doctor", check=False)
        assert re.search(r"BAD .*7601.*taken", said.out), said.out
    finally:
        other.terminate()
        other.wait(10)
    machine.inside("systemctl", "start", "falaj.target")
    machine.until_ready()
