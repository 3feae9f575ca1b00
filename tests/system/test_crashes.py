"""kill -9 of any process at any time loses nothing that was acknowledged, and leaves nothing half done.

Clients go on working while processes are killed at random; the oracle knows what they were told. pytest
prints the seed: `--randomly-seed=N` repeats the order of the kills.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from appliance.cli.client import Client
from appliance.home import open_home
from tests.system import oracle, processes
from tests.system.appliance import Appliance
from tests.system.crowd import Crowd, at_work
from tests.system.oracle import ABSENT, THERE, Oracle

# What is killed in one round, in any order, before everything is. No role more often: the pause before it is
# started again grows, and begins anew only with the supervisor.
VICTIMS = [
    "job",
    "job",
    "job",
    "inference-worker",
    "inference-worker",
    "inference",
    "admin",
    "admin",
    "worker",
    "egress",
]
KILLS = 200
MANY = {"FALAJ_JOBS_ATTEMPTS": "100"}  # so that a job which is acknowledged has to succeed
LEARN = ["--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"]
UNRECONCILED = Path(__file__).parent / "unreconciled"


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home in which `line` has two versions and the second is live; and a token for everything."""
    folder = tmp_path_factory.mktemp("seed")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance = Appliance(folder / "home").start()
    appliance.json("dataset", "add", "line", str(table))
    for version in (1, 2):
        appliance.json("train", "line", *LEARN)
        appliance.json("deploy", f"line:{version}")
    token = appliance.token("*")
    appliance.stop()
    return appliance.home, token


@dataclass
class Storm:
    """An appliance, clients that use it, what kills it, and who judges what is left."""

    appliance: Appliance
    token: str
    patience: float = 20.0
    judge: Oracle = field(default_factory=Oracle)
    order: random.Random = field(default_factory=lambda: random.Random(random.randrange(2**32)))
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = open_home(self.appliance.home)
        self.clients = Crowd(Client(self.appliance.home), self.judge, self.order).clients()

    def rage(self) -> None:
        """One round of kills while the clients work; at its end everything is killed and started again."""
        with at_work(self.clients):
            for role in self.order.sample(VICTIMS, len(VICTIMS)):
                time.sleep(self.order.uniform(0, 0.6))
                self.kill(role)
            time.sleep(self.order.uniform(0, 0.6))
            running = processes.everything(self.appliance)
            self.appliance.kill()
        self.killed.append("everything")
        processes.until(lambda: processes.gone(running))
        self.appliance.start()

    def kill(self, role: str) -> None:
        """Kill one process of a role, as soon as there is one; those that depend on it go with it."""
        ends = time.monotonic() + self.patience
        while not (there := self.of(role)) and time.monotonic() < ends:
            time.sleep(0.02)
        with contextlib.suppress(IndexError, psutil.NoSuchProcess):
            victim = self.order.choice(there)
            with_it = [victim, *victim.children(recursive=True)]
            victim.kill()
            self.killed.append(role)
            processes.until(lambda: processes.gone(with_it))

    def of(self, role: str) -> list[psutil.Process]:
        return processes.of_jobs(self.appliance) if role == "job" else processes.of_role(self.appliance, role)

    def losses(self, final: bool = False) -> list[str]:
        """What the judge finds, and who answers wrongly, while no client works."""
        with contextlib.suppress(AssertionError):
            processes.until(lambda: not oracle.abandoned(self.home), self.patience)
        found = [
            *oracle.abandoned(self.home),
            *self.judge.losses(self.home, final),
            *oracle.halves(self.home),
        ]
        return found + self.wrong_answers()

    def wrong_answers(self) -> list[str]:
        """Every model answers from the version that is live, or not at all; a token is good until revoked."""
        found = []
        for (kind, name), states in self.judge.allowed.items():
            if kind == "live" and len(states) == 1:  # else a change is still under way
                (state,) = states
                replies = [self.ask(name, self.token) for _ in range(4)]
                wanted = (404, None) if state == ABSENT else (200, int(state))
                found += [f"{name} answers {reply}, not {wanted}" for reply in replies if reply != wanted]
        for name in self.order.sample(sorted(self.judge.secrets), min(6, len(self.judge.secrets))):
            (state,) = self.judge.allowed["token", name]
            refused = self.ask("line", self.judge.secrets[name])[0] == 401
            if refused == (state == THERE):
                found.append(f"token {name} is {state} and {'refused' if refused else 'accepted'}")
        return found

    def ask(self, model: str, token: str) -> tuple[int, int | None]:
        """(status, version) of an answer."""
        reply = self.appliance.ask(f"/predict/{model}", {"rows": [{"x": 100}]}, token)
        return reply.status, reply.body.get("version")


Storms = Callable[..., Storm]


@pytest.fixture
def storm(seed: tuple[Path, str], new_appliance: Callable[..., Appliance], tmp_path: Path) -> Storms:
    """Start an appliance on a copy of the seed, with more settings."""

    def start(patience: float = 20.0, **settings: str) -> Storm:
        shutil.copytree(seed[0], tmp_path / "home")
        return Storm(new_appliance(tmp_path / "home", **MANY, **settings).start(), seed[1], patience)

    return start


def test_nothing_acknowledged_is_lost(storm: Storms) -> None:
    raging = storm()
    while len(raging.killed) < KILLS:
        raging.rage()
        assert raging.losses() == [], raging.killed
    processes.until(lambda: not oracle.pending(raging.home), 300)
    assert raging.losses(final=True) == []
    assert oracle.litter(raging.home) == []
    assert raging.appliance.json("audit", "verify")["ok"]
    print(dict(raging.judge.counts))
    for what in ("token there", "token revoked", "job succeeded", "job cancelled/succeeded", "live changed"):
        assert raging.judge.counts[what] > 5, f"too few of '{what}' were acknowledged to show anything"
    assert raging.judge.counts["in doubt"] > 5


def test_the_judge_sees_what_is_lost_when_nothing_is_put_right(storm: Storms) -> None:
    """The teeth of the test above: with all that takes back what was abandoned switched off, it must fail."""
    raging = storm(patience=6.0, PYTHONPATH=str(UNRECONCILED))
    found: set[str] = set()
    while not found >= {"job", "deployment"}:
        assert len(raging.killed) < KILLS, found
        raging.rage()
        found |= {loss.split()[0] for loss in raging.losses() if loss.endswith("for ever")}


def test_it_is_killed_while_it_makes_its_home(
    new_appliance: Callable[..., Appliance], tmp_path: Path
) -> None:
    """Whatever of a home is there, the next start completes it."""
    appliance = new_appliance(tmp_path / "home")
    for number in range(15):
        process = appliance.launch()
        time.sleep(random.uniform(0, 0.1 + 0.1 * number))
        running: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            running = processes.everything(appliance)
        process.kill()
        process.wait()
        processes.until(lambda running=running: processes.gone(running))
    appliance.start()
    assert [check for check in appliance.json("doctor") if not check["ok"]] == []
    home = open_home(appliance.home)
    assert (oracle.halves(home), oracle.litter(home)) == ([], [])
