"""The composition root: one explicit object, built in one function, that every edge is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance import home
from appliance.home import Home
from appliance.jobs import ledger
from appliance.jobs.ledger import NewJob
from appliance.jobs.queue import Queue


@dataclass(frozen=True)
class App:
    """The appliance as the CLI's socket, the API and the admin page use it."""

    home: Home
    queue: Queue

    def start_job(self, kind: str, subject: str, payload: dict[str, object], by: str) -> str:
        """Acknowledge a job and wake a worker; its id."""
        settings = self.home.config.jobs
        job = NewJob(kind, subject, payload, settings.attempts, settings.timeout)
        with self.home.registry.write() as tx:
            id = ledger.add(tx, job, by)
        self.queue.wake(id)
        return id


def open_app(path: Path) -> App:
    """The appliance of an existing home. Raises FalajError when there is none."""
    opened = home.open_home(path)
    return App(opened, Queue(path / "queue.db"))
