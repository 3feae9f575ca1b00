"""A registry with jobs in it, and a runner of real child processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.db import Store
from appliance.db.migrations import registry
from appliance.jobs import ledger
from appliance.jobs.ledger import Job, NewJob
from appliance.jobs.runner import Runner
from tests.conftest import ROOT
from tests.unit.jobs import bodies


@dataclass
class Jobs:
    """A ledger of its own, with short ways to do what tests do all the time."""

    home: Path
    store: Store

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    def add(
        self, kind: str = "succeed", *, attempts: int = 3, timeout: float = 60.0, **payload: object
    ) -> str:
        with self.store.write() as tx:
            return ledger.add(tx, NewJob(kind, "thing", payload, attempts, timeout), "cli:tester")

    def get(self, id: str) -> Job:
        return ledger.find(self.store, id)

    def claim(self, id: str, lease: float = 60.0) -> Job:
        job = ledger.claim(self.store, id, lease)
        assert job is not None
        return job

    def actions(self, id: str) -> list[str]:
        rows = self.store.all("SELECT action FROM audit WHERE subject = ? ORDER BY seq", (f"job:{id}",))
        return [row["action"] for row in rows]

    def runner(self, *, memory_mb: int = 4096, stopping: Callable[[], bool] = lambda: False) -> Runner:
        return Runner(
            store=self.store,
            home=self.home,
            run_dir=self.run_dir,
            module="tests.unit.jobs.bodies",
            lease=30.0,
            heartbeat=0.2,
            memory_bytes=memory_mb << 20,
            stopping=stopping,
        )


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = bodies.open_store(tmp_path)
    store.migrate(registry)
    return Jobs(tmp_path, store)


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
