"""Clients that never stop: each does one thing after another at an appliance, and notes it with the oracle.

A client is a generator that yields between two calls, so that it can be paused while the judge looks.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appliance.cli.client import Client
from appliance.errors import Conflict, Unavailable
from tests.system.oracle import ABSENT, CANCELLED, REVOKED, SUCCEEDED, THERE, Oracle, Thing

Steps = Iterator[None]
_LOOK = 0.1


@dataclass(frozen=True)
class Crowd:
    """What all clients share. The home has the dataset `line` and the model `line` in two versions."""

    client: Client
    oracle: Oracle
    order: random.Random

    def clients(self) -> list[Steps]:
        """All of them; `line` must be live in version 2."""
        self.oracle.allowed["live", "line"] = {"2"}
        return [self.tokens(), self.imports(), self.trainings(), self.switches()]

    def tokens(self) -> Steps:
        """Make tokens, and revoke one in three."""
        for number in itertools.count():
            name = f"t{number}"
            made = self.do(("token", name), THERE, "token.create", models=["line"], name=name)
            yield from self.rest(0.05)
            if made:
                self.oracle.secrets[name] = made["token"]
                if number % 3 == 0:
                    self.do(("token", name), REVOKED, "token.revoke", id=made["id"])
                    yield

    def imports(self) -> Steps:
        """Bring tables in; of each four one is cancelled, and one removed when it is there."""
        for number in itertools.count():
            name = f"d{number}"
            job = self.bring_in(name)
            yield from self.rest(0.3)
            if job and number % 4 == 1:
                self.cancel(name, job)
            if job:
                yield from self.ended(job)
                if number % 4 == 2:
                    self.oracle.allowed["dataset", name] = {THERE}
                    self.do(("dataset", name), ABSENT, "dataset.rm", dataset=f"{name}:1")

    def trainings(self) -> Steps:
        """Train models; of each four one is cancelled, and one deployed, withdrawn and removed."""
        learn = {"dataset": "line", "target": "y", "algorithm": "linear", "keep": ["x"]}
        for number in itertools.count():
            name = f"m{number}"
            made = self.do(("job", name), SUCCEEDED, "train", model=name, **learn)
            yield from self.rest(0.3)
            if made and number % 4 == 1:
                self.cancel(name, made["job"])
            if made:
                yield from self.ended(made["job"])
                if number % 4 == 2:
                    yield from self.use(name)

    def use(self, name: str) -> Steps:
        """The life of a model, from its deployment to its removal; given up where anything is in doubt."""
        live: Thing = ("live", name)
        self.oracle.allowed["model", name] = {THERE}
        if self.do(live, "1", "deploy", model=name):
            yield
            if self.do(live, ABSENT, "undeploy", model=name):
                yield
                self.do(("model", name), ABSENT, "model.rm", model=f"{name}:1")
        yield

    def switches(self) -> Steps:
        """Deploy the two versions of `line` in turn, go back, and withdraw it now and then."""
        live: Thing = ("live", "line")
        last = "2"
        while True:
            (now,) = self.oracle.allowed[live]
            other = "1" if last == "2" else "2"
            if now != ABSENT and self.order.random() < 0.1:
                done = self.do(live, ABSENT, "undeploy", model="line")
            elif self.order.random() < 0.5:
                done = self.do(live, other, "deploy", model=f"line:{other}")
            else:
                done = self.do(live, other if now != ABSENT else last, "rollback", model="line")
            yield
            while done is None and len(self.oracle.allowed[live]) > 1:
                with contextlib.suppress(Unavailable):
                    row = self.client.call("deployment.show", model="line")["live"]
                    self.oracle.saw(live, str(row["version"]) if row else ABSENT)
                    break
                yield from self.rest(_LOOK)
            (now,) = self.oracle.allowed[live]
            last = last if now == ABSENT else now

    def do(self, thing: Thing, after: str, verb: str, **args: Any) -> Any:
        return self.oracle.attempt(thing, after, lambda: self.client.call(verb, **args))

    def bring_in(self, name: str) -> str:
        """Start an import; its job, or '' when nobody acknowledged it."""
        table = f"x,{name}\n" + "".join(f"{i},{i % 7}\n" for i in range(60))
        with tempfile.TemporaryFile() as file:
            file.write(table.encode())

            def call() -> Any:
                file.seek(0)
                args = {"name": name, "filename": f"{name}.csv", "options": {}}
                return self.client.call("dataset.add", file=file, **args)

            made = self.oracle.attempt(("job", name), SUCCEEDED, call)
        return str(made["job"]) if made else ""

    def cancel(self, name: str, job: str) -> None:
        """Ask a job to stop. It may succeed before it hears of it."""

        def call() -> Any:
            with contextlib.suppress(Conflict):  # it has ended
                return self.client.call("job.cancel", job=job)
            return {}

        self.oracle.attempt(("job", name), {SUCCEEDED, CANCELLED}, call)

    def ended(self, job: str) -> Steps:
        """Wait until a job has ended."""
        while True:
            with contextlib.suppress(Unavailable):
                if self.client.call("job.show", job=job)["finished_at"]:
                    return
            yield from self.rest(_LOOK)

    def rest(self, seconds: float) -> Steps:
        time.sleep(seconds)
        yield


@contextlib.contextmanager
def at_work(clients: list[Steps]) -> Iterator[None]:
    """Let the clients go on for as long as the block runs; afterwards none has a call under way."""
    stop = threading.Event()

    def go_on(steps: Steps) -> None:
        while not stop.is_set():
            next(steps)

    threads = [threading.Thread(target=go_on, args=(steps,)) for steps in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
