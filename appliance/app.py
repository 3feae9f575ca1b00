"""The composition root: one explicit object, built in one function, that every edge is given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from appliance import home
from appliance.db import Row, Transaction
from appliance.home import Home
from appliance.jobs import ledger
from appliance.jobs.ledger import NewJob
from appliance.jobs.queue import Broken, Queue


@dataclass(frozen=True)
class App:
    """The appliance as the CLI's socket, the API and the admin page use it."""

    home: Home
    leading: set[int] = field(default_factory=set)  # deployments that this process leads now

    @cached_property
    def queue(self) -> Queue:
        """Opened, and made where it is missing, only when somebody is to be woken."""
        return Queue(self.home.path / "queue.db")

    def new_job(self, kind: str, subject: str, payload: Row, seconds: float = 0.0) -> NewJob:
        """A job as the settings bound it; one that is expected to take `seconds` gets time enough."""
        settings = self.home.config.jobs
        return NewJob(kind, subject, payload, settings.attempts, max(settings.timeout, 2 * seconds + 600.0))

    def start_job(
        self, job: NewJob, by: str, check: Callable[[Transaction], object] = lambda tx: None
    ) -> str:
        """Acknowledge a job and wake a worker; its id. `check` may refuse it, in the same transaction."""
        with self.home.registry.write() as tx:
            check(tx)
            id = ledger.add(tx, job, by)
        with suppress(Broken):  # the worker replaces the queue, then finds the job by itself
            self.queue.wake(id)
        return id


def open_app(path: Path) -> App:
    """The appliance of an existing home. Raises FalajError when there is none."""
    return App(home.open_home(path))
