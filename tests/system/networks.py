"""Two machines for a test: network namespaces of its own, joined by a cable (veth), and by nothing else."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system.appliance import Appliance

_numbers = itertools.count(1)


def run(*command: str, timeout: float = 30) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass
class Network:
    """`server` has 10.77.0.1, `office` 10.77.0.2; only those two can talk to each other."""

    name: str = field(default_factory=lambda: f"falaj{os.getpid()}-{next(_numbers)}")

    def __post_init__(self) -> None:
        self.server, self.office = f"{self.name}s", f"{self.name}o"
        for space in (self.server, self.office):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        ends = ("eth0", "netns", self.server), ("eth0", "netns", self.office)
        run("ip", "link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        self.join("10.77.0.1")
        run("ip", "-n", self.office, "addr", "add", "10.77.0.2/16", "dev", "eth0")
        for space in (self.server, self.office):
            run("ip", "-n", space, "link", "set", "eth0", "up")

    def join(self, address: str) -> None:
        """Give the server one more address."""
        run("ip", "-n", self.server, "addr", "add", f"{address}/16", "dev", "eth0")

    def inside(self, space: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", space, *command]

    def curl(self, url: str, *options: str, at: str = "") -> Answer:
        """What a machine of the office, or the one `at`, gets."""
        command = self.inside(at or self.office, "curl", "--silent", "--show-error", "--max-time", "20")
        command += ["--noproxy", "*", "--write-out", "\n%{http_code}", *options, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return Answer(done.returncode, int(status or 0), body, done.stderr)

    def remove(self) -> None:
        for space in (self.server, self.office):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, timeout=30, check=False)


@dataclass(frozen=True)
class Answer:
    """What curl said; `code` is its own exit status (curl(1), EXIT CODES)."""

    code: int
    status: int
    text: str
    error: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@dataclass
class Neighbour(Appliance):
    """An appliance on the server of a network."""

    network: Network | None = None

    @property
    def prefix(self) -> list[str]:
        assert self.network is not None
        return self.network.inside(self.network.server)

    def authority(self) -> Path:
        """Its authority in a file, as `falaj certificate ca --out` gives it."""
        path = self.home.parent / f"{self.home.name}-ca.pem"
        self.json("certificate", "ca", "--out", str(path))
        return path
