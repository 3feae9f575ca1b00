"""The job row: taken once, held by a lease, fenced by its attempt, taken back when nobody holds it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from appliance import clock
from appliance.errors import BadInput, Conflict, NotFound
from appliance.jobs import ledger
from appliance.jobs.ledger import Job, JobState
from appliance.process import process_name
from tests.unit.jobs.conftest import Jobs


def test_a_job_is_added_with_its_audit_entry(jobs: Jobs) -> None:
    id = jobs.add("train", x=1)
    job = jobs.get(id)
    assert (job.state, job.attempts, job.payload, job.created_by) == (
        JobState.QUEUED,
        0,
        {"x": 1},
        "cli:tester",
    )
    assert ledger.queued(jobs.store) == [id]
    assert jobs.actions(id) == ["job.add"]


def test_a_job_is_taken_by_one_only(jobs: Jobs) -> None:
    """Eight threads wake for the same id at once, as after a repeated message."""
    id = jobs.add()
    start, taken = threading.Barrier(8), []

    def take() -> None:
        start.wait()
        taken.append(ledger.claim(jobs.store, id, 30.0))
        jobs.store.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [job for job in taken if job is not None]
    assert (won.state, won.attempts) == (JobState.RUNNING, 1)
    assert won.lease_boot == clock.boot_id()
    assert ledger.claim(jobs.store, id, 30.0) is None


def test_jobs_wait_in_the_order_they_were_added(jobs: Jobs) -> None:
    ids = [jobs.add() for _ in range(5)]
    assert ledger.queued(jobs.store) == ids
    assert [job.id for job in ledger.recent(jobs.store)] == ids[::-1]
    assert {job.id for job in ledger.unfinished(jobs.store)} == set(ids)


def test_an_unknown_job_is_told(jobs: Jobs) -> None:
    with pytest.raises(NotFound, match="no job 'abc'") as told:
        jobs.get("abc")
    assert "falaj job ls" in told.value.hint


def test_a_heartbeat_extends_the_lease(jobs: Jobs) -> None:
    job = jobs.claim(jobs.add(), lease=0.0)
    assert job.lease_until is not None
    ledger.heartbeat(jobs.store, job, 60.0)
    extended = jobs.get(job.id).lease_until
    assert extended is not None
    assert extended >= job.lease_until + 59.0
    assert ledger.reconcile(jobs.store) == []


def test_a_child_that_was_given_up_cannot_finish_the_job_that_runs_again(jobs: Jobs) -> None:
    first = jobs.claim(jobs.add(x=1))
    ledger.release(jobs.store, first, counted=True)
    second = jobs.claim(first.id)
    assert second.attempts == 2
    with pytest.raises(Conflict, match="no longer this worker's"):
        _finish(jobs, first, "first")
    with pytest.raises(Conflict):
        ledger.fail(jobs.store, first, BadInput("first"))
    with pytest.raises(Conflict):
        ledger.release(jobs.store, first, counted=True)
    with pytest.raises(Conflict):
        ledger.heartbeat(jobs.store, first, 60.0)
    assert jobs.get(first.id) == second
    _finish(jobs, second, "second")
    ended = jobs.get(first.id)
    assert (ended.state, ended.result) == (JobState.SUCCEEDED, {"from": "second"})
    made = [action for action in jobs.actions(first.id) if action.startswith("made")]
    assert made == ["made by second"]  # what the first one wrote went with its transaction


def test_a_finished_job_stays_as_it_is(jobs: Jobs) -> None:
    job = jobs.claim(jobs.add())
    with jobs.store.write() as tx:
        ledger.succeed(tx, job, {})
    for change in (
        lambda: ledger.fail(jobs.store, job, BadInput("late")),
        lambda: ledger.release(jobs.store, job, counted=True),
        lambda: ledger.heartbeat(jobs.store, job, 1.0),
        lambda: ledger.request_cancel(jobs.store, job.id, "cli:tester"),
    ):
        with pytest.raises(Conflict):
            change()
    assert jobs.get(job.id).state is JobState.SUCCEEDED
    assert ledger.reconcile(jobs.store) == []


def _holder_died(jobs: Jobs, job: Job) -> None:
    """The lease belongs to a process that has just ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = process_name(process.pid)
        process.communicate()
    _set(jobs, job, "lease_owner", name)


def _recycled(jobs: Jobs, job: Job) -> None:
    """The process id of the holder lives, but it is another process by now."""
    assert job.lease_owner is not None
    pid, start = job.lease_owner.split(":")
    _set(jobs, job, "lease_owner", f"{pid}:{int(start) - 1}")


def _silent(jobs: Jobs, job: Job) -> None:
    """Its time has passed, though its holder lives."""
    _set(jobs, job, "lease_until", clock.uptime() - 1)


def _rebooted(jobs: Jobs, job: Job) -> None:
    """The machine has started anew: the uptime of that boot says nothing now, even if it lies ahead."""
    _set(jobs, job, "lease_boot", "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("ended", [_holder_died, _recycled, _silent, _rebooted])
def test_an_abandoned_job_waits_again(jobs: Jobs, ended) -> None:  # type: ignore[no-untyped-def]
    held, left = jobs.claim(jobs.add()), jobs.claim(jobs.add())
    ended(jobs, left)
    assert jobs.get(left.id).state is JobState.RUNNING  # nothing but reconciling frees it
    assert ledger.claim(jobs.store, left.id, 30.0) is None
    assert ledger.reconcile(jobs.store) == [left.id]
    assert (jobs.get(left.id).state, jobs.get(left.id).lease_owner) == (JobState.QUEUED, None)
    assert jobs.get(held.id).state is JobState.RUNNING
    assert jobs.claim(left.id).attempts == 2


def test_a_job_is_given_up_when_its_attempts_are_used_up(jobs: Jobs) -> None:
    id = jobs.add(attempts=2)
    assert ledger.release(jobs.store, jobs.claim(id), counted=True) is JobState.QUEUED
    _silent(jobs, jobs.claim(id))
    assert ledger.reconcile(jobs.store) == []
    job = jobs.get(id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["error"] == "The job was interrupted 2 times and is given up."
    assert f"falaj job logs {id}" in job.error["hint"]
    assert jobs.actions(id) == ["job.add", "job.failed"]


def test_an_uncounted_release_can_happen_for_ever(jobs: Jobs) -> None:
    id = jobs.add(attempts=1)
    for _ in range(4):
        job = jobs.claim(id)
        assert job.attempts == 1
        assert ledger.release(jobs.store, job, counted=False) is JobState.QUEUED
    assert jobs.get(id).attempts == 0


def test_cancelling_a_waiting_job_ends_it(jobs: Jobs) -> None:
    id = jobs.add()
    ledger.request_cancel(jobs.store, id, "cli:someone")
    job = jobs.get(id)
    assert job.state is JobState.CANCELLED
    assert job.error is not None
    assert job.error["kind"] == "Cancelled"
    assert ledger.claim(jobs.store, id, 30.0) is None
    assert ledger.queued(jobs.store) == []
    assert jobs.actions(id) == ["job.add", "job.cancel"]


def test_cancelling_a_running_job_asks_its_worker(jobs: Jobs) -> None:
    job = jobs.claim(jobs.add())
    assert not ledger.is_cancelled(jobs.store, job.id)
    assert ledger.request_cancel(jobs.store, job.id, "cli:someone").state is JobState.RUNNING
    assert ledger.is_cancelled(jobs.store, job.id)


def test_a_cancelled_job_whose_worker_died_does_not_run_again(jobs: Jobs) -> None:
    job = jobs.claim(jobs.add())
    ledger.request_cancel(jobs.store, job.id, "cli:someone")
    _silent(jobs, job)
    assert ledger.reconcile(jobs.store) == []
    assert jobs.get(job.id).state is JobState.CANCELLED


def test_reconciling_twice_counts_once(jobs: Jobs) -> None:
    job = jobs.claim(jobs.add())
    _silent(jobs, job)
    assert ledger.reconcile(jobs.store) == [job.id]
    assert ledger.reconcile(jobs.store) == []
    assert jobs.get(job.id).attempts == 1


def _finish(jobs: Jobs, job: Job, by: str) -> None:
    with jobs.store.write() as tx:
        tx.audit("test", f"made by {by}", f"job:{job.id}")
        ledger.succeed(tx, job, {"from": by})


def _set(jobs: Jobs, job: Job, column: str, value: object) -> None:
    with jobs.store.write() as tx:
        assert tx.execute(f'UPDATE jobs SET "{column}" = ? WHERE id = ?', (value, job.id)) == 1
