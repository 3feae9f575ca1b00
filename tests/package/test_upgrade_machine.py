"""Upgrades of the package on a booted machine: to the next version and back, and one that must not be."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.package.editions import BAD, GOOD, MUTE, edition
from tests.package.machine import Machine
from tests.package.test_machine import falaj, predicts, until, with_a_model

pytestmark = pytest.mark.slow


@contextmanager
def asked(machine: Machine, token: str) -> Iterator[dict[str, Any]]:
    """Ask the endpoint all the while; how it went is in the dictionary afterwards."""
    shutil.copy(Path(__file__).with_name("asking.py"), machine.root / "usr/local/lib/asking.py")
    found: dict[str, Any] = {}

    def ask() -> None:
        command = ["python3", "/usr/local/lib/asking.py", token, "/srv/enough"]
        found.update(json.loads(machine.inside(*command, timeout=600).out))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        (machine.root / "srv/enough").touch()
        thread.join(60)
        (machine.root / "srv/enough").unlink()


def install(machine: Machine, package: Path) -> str:
    """As unattended-upgrades does: no terminal, no questions."""
    if package != machine.root / "root/next.deb":
        shutil.copy(package, machine.root / "root/next.deb")
    done = machine.inside(
        "env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", "/root/next.deb", timeout=300
    )
    return done.out + done.err


def version(machine: Machine) -> str:
    return str(falaj(machine, "upgrade", "show")["version"])


def audited(machine: Machine) -> list[tuple[str, Any]]:
    """Action and detail of the entries about upgrades."""
    entries = falaj(machine, "audit", "ls", "--limit", "200")
    return [(one["action"], one["detail"]) for one in entries if one["action"].startswith("upgrade.")]


def test_to_the_next_version_and_back(machine: Machine, package: Path, tmp_path: Path) -> None:
    token = with_a_model(machine)
    later = edition(package, tmp_path, "0.1.1", GOOD)
    with asked(machine, token) as found:
        install(machine, later)
        until(machine.is_ready)
    print(f"0.1.0 to 0.1.1: {found}")
    assert set(found["answers"]) == {"200"}
    assert found["longest"] < 3
    assert version(machine) == "0.1.1"
    assert falaj(machine, "audit", "verify")["ok"]
    assert ("upgrade.done", {"from": "0.1.0", "to": "0.1.1"}) in audited(machine)
    falaj(machine, "egress", "allow", "later.example", "--purpose", "said after the upgrade")

    machine.inside("falaj", "upgrade", "back", "--yes")
    until(machine.is_ready)
    assert version(machine) == "0.1.0"
    assert predicts(machine, token)
    assert falaj(machine, "egress", "ls")["rules"] == [], "what was changed since is told to be lost"
    assert falaj(machine, "audit", "verify")["ok"]
    (told,) = [detail for action, detail in audited(machine) if action == "upgrade.back"]
    assert (told["from"], told["to"], bool(told["snapshot"])) == ("0.1.1", "0.1.0", True)
    machine.inside("falaj", "upgrade", "retry")
    until(machine.is_ready)
    assert version(machine) == "0.1.1"
    assert predicts(machine, token)


def test_one_that_fails_leaves_the_old_one_going(machine: Machine, package: Path, tmp_path: Path) -> None:
    token = with_a_model(machine)
    with asked(machine, token) as found:
        told = install(machine, edition(package, tmp_path, "0.1.1", BAD))
        until(machine.is_ready)
    print(f"0.1.1 refused: {found}")
    assert "could not take over" in told
    assert set(found["answers"]) == {"200"}
    assert version(machine) == "0.1.0"
    held = falaj(machine, "upgrade", "show")["held"]
    assert (held["from"], held["to"]) == ("0.1.0", "0.1.1")
    assert "could not take over" in machine.inside("falaj", "status").out
    state = machine.inside("dpkg-query", "--show", "--showformat", "${db:Status-Status}", "falaj").out
    assert state == "installed", "unattended-upgrades would stumble over anything else"
    machine.shut_down()
    machine.boot()
    machine.until_ready()
    assert version(machine) == "0.1.0"
    assert predicts(machine, token)

    install(machine, edition(package, tmp_path, "0.1.2", GOOD))
    until(machine.is_ready)
    assert version(machine) == "0.1.2"
    assert falaj(machine, "upgrade", "show")["held"] is None
    assert predicts(machine, token)


def test_one_whose_endpoint_does_not_start_is_taken_back(
    machine: Machine, package: Path, tmp_path: Path
) -> None:
    token = with_a_model(machine)
    told = install(machine, edition(package, tmp_path, "0.1.1", MUTE))
    assert "could not take over: Its endpoint did not start. Version 0.1.0 goes on." in told
    until(machine.is_ready)
    assert predicts(machine, token)
    assert version(machine) == "0.1.0"
    assert falaj(machine, "upgrade", "show")["held"]["why"] == "Its endpoint did not start."
    assert falaj(machine, "audit", "verify")["ok"]
    assert "upgrade.back" in dict(audited(machine))


def test_a_power_cut_in_the_middle_of_an_upgrade(machine: Machine, package: Path, tmp_path: Path) -> None:
    """At several moments: afterwards it runs, and dpkg can finish."""
    token = with_a_model(machine)
    shutil.copy(edition(package, tmp_path, "0.1.1", GOOD), machine.root / "root/next.deb")
    for seconds in ("2", "5", "8"):
        machine.inside("sh", "-c", "setsid dpkg -i /root/next.deb >/dev/null 2>&1 &")
        subprocess.run(["sleep", seconds], check=True)
        machine.cut()
        machine.boot()
        machine.inside("dpkg", "--configure", "-a", check=False)
        until(machine.is_ready)
        assert predicts(machine, token), seconds
        assert falaj(machine, "audit", "verify")["ok"]
    install(machine, machine.root / "root/next.deb")
    until(machine.is_ready)
    assert version(machine) == "0.1.1"


def test_remove_keeps_the_data_and_purge_takes_it(machine: Machine, package: Path) -> None:
    token = with_a_model(machine)
    machine.inside("dpkg", "--remove", "falaj")
    assert machine.inside("pgrep", "-u", "falaj", check=False).code == 1
    assert (machine.root / "var/lib/falaj/registry.db").exists()
    install(machine, package)
    machine.until_ready()
    assert predicts(machine, token)
    machine.inside("dpkg", "--purge", "falaj")
    assert machine.inside("pgrep", "-u", "falaj", check=False).code == 1
    left = machine.inside("find", "/var/lib", "/etc", "/usr/lib", "/run", "-name", "*falaj*").out.split()
    assert not [path for path in left if not path.startswith("/run/systemd")], left
