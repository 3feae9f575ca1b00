"""What each role may do on a booted machine, tried from inside its own unit. Slow: docs/testing.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package.machine import Machine

pytestmark = pytest.mark.slow

PROBE = Path(__file__).with_name("probe.py")
ALLOWED = {
    "inference": {"write to the data directory", "read the databases", "run code from memory"},
    "admin": {
        "write to the data directory",
        "write among the models",
        "read the databases",
        "speak to the egress role",
    },
    "worker": {
        "write to the data directory",
        "write among the models",
        "read the databases",
        "speak to the egress role",
        "run code from memory",
    },
    "egress": {"connect to the office", "connect to a port of this machine", "send a datagram"},
}


@pytest.fixture
def office_server(machine: Machine) -> Iterator[None]:
    """Something in the office that takes connections."""
    server = subprocess.Popen(
        ["ip", "netns", "exec", machine.name, sys.executable, "-m", "http.server", "8099"],
        cwd=machine.root.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
    server.terminate()
    server.wait(10)


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_may_do_what_it_must_and_no_more(machine: Machine, office_server: None, role: str) -> None:
    shutil.copy(PROBE, machine.root / "usr/local/lib/probe.py")
    drop_in = machine.root / f"etc/systemd/system/falaj-{role}.service.d/probe.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text("[Service]\nExecStartPre=/usr/bin/python3 /usr/local/lib/probe.py\n")
    machine.inside("systemctl", "daemon-reload")
    machine.inside("systemctl", "restart", f"falaj-{role}")
    machine.until_ready()
    journal = machine.inside("journalctl", "-b", "--no-pager", "-u", f"falaj-{role}").out
    found = json.loads(re.findall(r"PROBE (.*)$", journal, re.MULTILINE)[-1])
    assert {name for name, may in found.items() if may} == ALLOWED[role]


def test_without_a_sandbox_all_of_it_works(machine: Machine, office_server: None) -> None:
    """The teeth of the test above: what is tried can be done on this very machine."""
    shutil.copy(PROBE, machine.root / "usr/local/lib/probe.py")
    machine.until_ready()
    said = machine.inside("python3", "/usr/local/lib/probe.py").out
    assert all(json.loads(said.removeprefix("PROBE ")).values()), said
