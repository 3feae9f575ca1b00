"""The job row: its states, and every change it can go through.

A running job is held by a lease: an owner (process id and its start time), the boot it was taken in and
a time on the clock of that boot. A lease ends when its time has passed, its owner is gone or the
machine has started anew; `reconcile` then puts the job back in the queue until its attempts are
used up. What a child writes is fenced by the attempt's number, so a child that was given up can't
finish a job that runs again.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance import clock
from appliance.db import Row, Store, Transaction
from appliance.db.store import dumps
from appliance.errors import Cancelled, Conflict, FalajError, NotFound
from appliance.process import lives, process_name


class JobState(StrEnum):
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a child works on it, under a lease
    SUCCEEDED = "succeeded"  # done; `result` holds what it made
    FAILED = "failed"  # ended without success; `error` says why
    CANCELLED = "cancelled"  # somebody stopped it


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


@dataclass(frozen=True)
class Job:
    """One unit of work. `error` is an error's JSON with its class under `kind`."""

    id: str
    kind: str
    subject: str
    payload: Row
    state: JobState
    attempts: int
    max_attempts: int
    timeout: float
    cancel_requested: bool
    lease_owner: str | None
    lease_boot: str | None
    lease_until: float | None
    result: Row | None
    error: Row | None
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None

    @property
    def ended(self) -> bool:
        return not TRANSITIONS[self.state]

    def summary(self) -> Row:
        """What a list and a waiting client see."""
        return {
            "job": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state.value,
            "attempts": self.attempts,
            "result": self.result,
            "error": self.error,
            "created_at": self.created_at,
            "created_by": self.created_by,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }


@dataclass(frozen=True)
class NewJob:
    """What is asked for; `add` turns it into a row."""

    kind: str
    subject: str
    payload: Row
    max_attempts: int
    timeout: float


def add(tx: Transaction, job: NewJob, by: str) -> str:
    """Acknowledge a job: from this commit on it will run. Returns its id."""
    id = secrets.token_hex(8)
    tx.insert(
        "jobs",
        {
            "id": id,
            "kind": job.kind,
            "subject": job.subject,
            "payload": dumps(job.payload),
            "state": JobState.QUEUED.value,
            "max_attempts": job.max_attempts,
            "timeout": job.timeout,
            "created_at": clock.now(),
            "created_by": by,
        },
    )
    tx.audit(by, "job.add", f"job:{id}", {"kind": job.kind, "subject": job.subject})
    return id


def find(store: Store | Transaction, id: str) -> Job:
    row = store.one("SELECT * FROM jobs WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"There is no job '{id}'.", "See what there is with: falaj job ls")
    return _from_row(row)


def recent(store: Store, limit: int = 100) -> list[Job]:
    """The newest jobs, newest first: in the order in which they came, whatever the wall clock said."""
    return [_from_row(row) for row in store.all("SELECT * FROM jobs ORDER BY rowid DESC LIMIT ?", (limit,))]


def queued(store: Store) -> list[str]:
    """Ids of the jobs that wait, oldest first."""
    rows = store.all("SELECT id FROM jobs WHERE state = 'queued' ORDER BY rowid")
    return [str(row["id"]) for row in rows]


def unfinished(store: Store | Transaction) -> list[Job]:
    """The jobs that wait or run."""
    return [_from_row(row) for row in store.all("SELECT * FROM jobs WHERE state IN ('queued', 'running')")]


def claim(store: Store, id: str, lease: float) -> Job | None:
    """Take a waiting job for this process, or None when it no longer waits (a second wake, a cancel)."""
    with store.write() as tx:
        changed = tx.execute(
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = ?, lease_owner = ?,"
            " lease_boot = ?, lease_until = ? WHERE id = ? AND state = 'queued'",
            (clock.now(), process_name(os.getpid()), clock.boot_id(), clock.uptime() + lease, id),
        )
        return find(tx, id) if changed else None


def heartbeat(store: Store, job: Job, lease: float) -> None:
    """Extend the lease. Raises Conflict when it was lost meanwhile."""
    with store.write() as tx:
        changed = tx.execute(
            "UPDATE jobs SET lease_until = ? WHERE id = ? AND state = 'running' AND attempts = ?",
            (clock.uptime() + lease, job.id, job.attempts),
        )
        if not changed:
            raise _lost(job)


def is_cancelled(store: Store, id: str) -> bool:
    row = store.one("SELECT cancel_requested FROM jobs WHERE id = ?", (id,))
    return row is None or bool(row["cancel_requested"])


def succeed(tx: Transaction, job: Job, result: Row) -> None:
    """Record success in the transaction that writes what the job made."""
    _end(tx, job, JobState.SUCCEEDED, result=result)


def fail(store: Store, job: Job, error: FalajError) -> None:
    state = JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED
    with store.write() as tx:
        _end(tx, job, state, error=error.as_json() | {"kind": type(error).__name__})
        tx.audit("system", f"job.{state}", f"job:{job.id}", {"kind": job.kind, "subject": job.subject})


def release(store: Store, job: Job, *, counted: bool) -> JobState:
    """Give a running job back: to the queue while attempts are left (or this one is not counted)."""
    with store.write() as tx:
        return _release(tx, job, counted=counted)


def request_cancel(store: Store, id: str, by: str) -> Job:
    """Ask a job to stop: at once when it waits, at its worker's next look when it runs."""
    with store.write() as tx:
        job = find(tx, id)
        if job.ended:
            raise Conflict(f"Job {id} has already ended: {job.state}.", f"See: falaj job show {id}")
        tx.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (id,))
        if job.state is JobState.QUEUED:
            _end(tx, job, JobState.CANCELLED, error=_cancelled())
        tx.audit(by, "job.cancel", f"job:{id}", {})
        return find(tx, id)


def reconcile(store: Store) -> list[str]:
    """Take back every job whose lease has ended; the ids of those that wait again."""
    requeued = []
    with store.write() as tx:
        for row in tx.all("SELECT * FROM jobs WHERE state = 'running'"):
            job = _from_row(row)
            if not _lease_holds(job) and _release(tx, job, counted=True) is JobState.QUEUED:
                requeued.append(job.id)
    return requeued


def _release(tx: Transaction, job: Job, *, counted: bool) -> JobState:
    if job.cancel_requested:
        _end(tx, job, JobState.CANCELLED, error=_cancelled())
        return JobState.CANCELLED
    if counted and job.attempts >= job.max_attempts:
        error = FalajError(
            f"The job was interrupted {job.attempts} times and is given up.",
            f"Read its log with: falaj job logs {job.id}; then start it again.",
        )
        _end(tx, job, JobState.FAILED, error=error.as_json() | {"kind": "FalajError"})
        tx.audit("system", "job.failed", f"job:{job.id}", {"kind": job.kind, "subject": job.subject})
        return JobState.FAILED
    changed = tx.execute(
        "UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_boot = NULL, lease_until = NULL,"
        " attempts = attempts - ? WHERE id = ? AND state = 'running' AND attempts = ?",
        (0 if counted else 1, job.id, job.attempts),
    )
    if not changed:
        raise _lost(job)
    return JobState.QUEUED


def _end(
    tx: Transaction, job: Job, state: JobState, *, result: Row | None = None, error: Row | None = None
) -> None:
    assert state in TRANSITIONS[job.state], f"{job.state} -> {state}"
    changed = tx.execute(
        "UPDATE jobs SET state = ?, result = ?, error = ?, finished_at = ?, lease_until = NULL"
        " WHERE id = ? AND state = ? AND attempts = ?",
        (
            state.value,
            None if result is None else dumps(result),
            None if error is None else dumps(error),
            clock.now(),
            job.id,
            job.state.value,
            job.attempts,
        ),
    )
    if not changed:
        raise _lost(job)


def _lease_holds(job: Job) -> bool:
    if job.lease_boot != clock.boot_id() or (job.lease_until or 0.0) < clock.uptime():
        return False
    return lives(job.lease_owner or "")


def _cancelled() -> Row:
    error = Cancelled("The job was cancelled.", "Start it again when you want it.")
    return error.as_json() | {"kind": "Cancelled"}


def _lost(job: Job) -> Conflict:
    return Conflict(f"Job {job.id} is no longer this worker's.", f"See: falaj job show {job.id}")


def _from_row(row: Row) -> Job:
    parsed: dict[str, Any] = {
        name: None if row[name] is None else json.loads(row[name]) for name in ("payload", "result", "error")
    }
    flags = {"cancel_requested": bool(row["cancel_requested"]), "state": JobState(row["state"])}
    return Job(**{**row, **parsed, **flags})
