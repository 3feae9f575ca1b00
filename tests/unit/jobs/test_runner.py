"""Running jobs in real child processes: however a child ends, its row tells the truth."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from appliance.db import store as db_store
from appliance.jobs import bounds, ledger, progress, runner
from appliance.jobs.ledger import Job, JobState
from tests.conftest import ROOT
from tests.unit.jobs.conftest import Jobs, wait_until

pytestmark = pytest.mark.processes


def run(jobs: Jobs, id: str, **told: object) -> Job:
    """Run a job as a worker's thread does, to an end that its row tells."""
    jobs.runner(**told).run(id)  # type: ignore[arg-type]
    return jobs.get(id)


@contextmanager
def running(jobs: Jobs, id: str, **told: object) -> Iterator[None]:
    """A job in another thread, from the moment its child has said something."""
    thread = threading.Thread(target=jobs.runner(**told).run, args=(id,))  # type: ignore[arg-type]
    thread.start()
    try:
        wait_until(lambda: progress.read(jobs.run_dir, id)["phase"])
        yield
    finally:
        thread.join(20)
    assert not thread.is_alive()


def log(jobs: Jobs, id: str) -> str:
    return progress.log_file(jobs.home, id).read_text()


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "tests.unit.jobs.bodies" in one.cmdline()]


def test_success(jobs: Jobs) -> None:
    job = run(jobs, jobs.add("succeed", x=42))
    assert (job.state, job.result, job.error, job.attempts) == (JobState.SUCCEEDED, {"answer": 42}, None, 1)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert jobs.actions(job.id) == ["job.add", "made"]
    assert "succeed thing, attempt 1" in log(jobs, job.id)
    assert progress.log_file(jobs.home, job.id).stat().st_mode & 0o777 == 0o600
    assert not progress.progress_file(jobs.run_dir, job.id).exists()
    jobs.runner().run(job.id)  # a second wake for the same job
    assert jobs.get(job.id) == job


def test_a_refusal_is_told_as_it_is(jobs: Jobs) -> None:
    job = run(jobs, jobs.add("refuse"))
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error == {
        "error": "Line 7 has no end.",
        "hint": "Give it one.",
        "column": "c",
        "kind": "BadInput",
    }
    assert "Traceback" not in log(jobs, job.id)
    assert jobs.actions(job.id) == ["job.add", "job.failed"]


@pytest.mark.parametrize("kind", ["crash", "crash-in-commit"])
def test_a_crash_is_told_without_its_traceback(jobs: Jobs, kind: str) -> None:
    job = run(jobs, jobs.add(kind))
    assert (job.state, job.result) == (JobState.FAILED, None)
    assert job.error is not None
    assert job.error["error"] == "The job failed unexpectedly."
    assert job.error["hint"] == f"Read its log with: falaj job logs {job.id}"
    assert "inner detail" not in str(job.error)
    assert "RuntimeError: an inner detail" in log(jobs, job.id)
    assert "made" not in jobs.actions(job.id)


def test_a_killed_child_is_tried_again(jobs: Jobs) -> None:
    id = jobs.add("die", times=1)
    job = run(jobs, id)
    assert (job.state, job.attempts, job.lease_owner) == (JobState.QUEUED, 1, None)
    assert ledger.queued(jobs.store) == [id]
    job = run(jobs, id)
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"attempts": 2})


def test_a_child_that_is_always_killed_is_given_up(jobs: Jobs) -> None:
    id = jobs.add("die", times=99, attempts=2)
    assert run(jobs, id).state is JobState.QUEUED
    job = run(jobs, id)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["error"] == "The job was interrupted 2 times and is given up."
    assert run(jobs, id) == job


def test_too_long(jobs: Jobs) -> None:
    began = time.monotonic()
    job = run(jobs, jobs.add("sleep", timeout=0.5))
    assert time.monotonic() - began < 10
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["error"] == "The job took longer than the 0.5 seconds it was allowed."
    assert "jobs.timeout" in job.error["hint"]
    assert children() == []


def test_too_much_memory(jobs: Jobs) -> None:
    job = run(jobs, jobs.add("hog"), memory_mb=150)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "MiB of memory; 150 MiB are allowed." in job.error["error"]
    assert "jobs.memory_mb" in job.error["hint"]
    assert children() == []


def test_too_much_memory_at_once(jobs: Jobs) -> None:
    """A burst between two looks fails where it is asked for; it never reaches the machine's memory."""
    beyond = bounds.mappable(150 << 20) >> 20
    job = run(jobs, jobs.add("burst", mb=2 * beyond), memory_mb=150)
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error["error"] == f"The job needed over {beyond} MiB of memory; 150 MiB are allowed."
    assert job.error["kind"] == "TooLarge"
    assert "MemoryError" in log(jobs, job.id)
    assert children() == []


def test_a_burst_below_the_bound_is_no_burst(jobs: Jobs) -> None:
    """Memory that is only mapped, and not used, counts for nothing until it is far beyond."""
    id = jobs.add("burst", mb=300)
    with running(jobs, id, memory_mb=150):
        time.sleep(1)
        assert jobs.get(id).state is JobState.RUNNING
        ledger.request_cancel(jobs.store, id, "cli:someone")
    assert jobs.get(id).state is JobState.CANCELLED


def test_all_threads_and_children_of_a_job_are_bound(jobs: Jobs) -> None:
    id = jobs.add("threads")
    with running(jobs, id):
        (child,) = children()
        tasks = [int(one.name) for one in Path(f"/proc/{child.pid}/task").iterdir()]
        tasks += [one.pid for one in child.children()]
        assert len(tasks) > 2
        assert {os.sched_getscheduler(task) for task in tasks} == {os.SCHED_IDLE}
        for one in [child, *child.children()]:
            assert one.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE
            assert one.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert one.rlimit(psutil.RLIMIT_DATA) == (bounds.mappable(4096 << 20),) * 2
            assert Path(f"/proc/{one.pid}/oom_score_adj").read_text() == "1000\n"
        ledger.request_cancel(jobs.store, id, "cli:someone")


def test_progress_is_readable_while_it_runs_and_cancel_stops_it(jobs: Jobs) -> None:
    id = jobs.add("sleep")
    with running(jobs, id):
        assert progress.read(jobs.run_dir, id) == {"progress": 0.25, "phase": "resting"}
        assert jobs.get(id).state is JobState.RUNNING
        (child,) = children()
        ledger.request_cancel(jobs.store, id, "cli:someone")
    job = jobs.get(id)
    assert job.state is JobState.CANCELLED
    assert job.error is not None
    assert (job.error["error"], job.error["kind"]) == ("The job was cancelled.", "Cancelled")
    assert progress.read(jobs.run_dir, id) == {"progress": 0.0, "phase": ""}
    assert not child.is_running()
    assert jobs.actions(id) == ["job.add", "job.cancel", "job.cancelled"]


def test_a_child_that_does_not_listen_is_killed(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_GRACE", 0.3)
    id = jobs.add("deaf")
    with running(jobs, id):
        ledger.request_cancel(jobs.store, id, "cli:someone")
    assert jobs.get(id).state is JobState.CANCELLED
    assert children() == []


def test_a_stopping_worker_gives_its_job_back_uncounted(jobs: Jobs) -> None:
    id, stop = jobs.add("sleep", attempts=1), threading.Event()
    with running(jobs, id, stopping=stop.is_set):
        stop.set()
    job = jobs.get(id)
    assert (job.state, job.attempts, job.error) == (JobState.QUEUED, 0, None)
    assert children() == []


def test_a_job_that_commits_while_it_is_stopped_is_done(jobs: Jobs) -> None:
    """From the commit on a child can't be stopped: what is registered stays, and the row says so."""
    id, stop = jobs.add("late", seconds=0.6), threading.Event()
    with running(jobs, id, stopping=stop.is_set):
        stop.set()
    job = jobs.get(id)
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"made": True})
    assert "made" in jobs.actions(id)


def test_the_lease_is_extended_while_it_runs(jobs: Jobs) -> None:
    id = jobs.add("sleep")
    with running(jobs, id):
        before = jobs.get(id).lease_until
        assert before is not None
        wait_until(lambda: (jobs.get(id).lease_until or 0) > before)
        ledger.request_cancel(jobs.store, id, "cli:someone")


def test_a_heartbeat_that_cannot_be_written_does_not_end_what_runs(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody holds the registry for longer than a writer waits: child and lease go on all the same."""
    monkeypatch.setattr(db_store, "BUSY_MS", 30)
    id = jobs.add("sleep")
    with running(jobs, id):
        before = jobs.get(id).lease_until
        assert before is not None
        with caplog.at_level(logging.WARNING), jobs.store.write():
            wait_until(lambda: "no sign of life could be written" in caplog.text)
        (child,) = children()
        assert child.is_running()
        wait_until(lambda: (jobs.get(id).lease_until or 0) > before)
        ledger.request_cancel(jobs.store, id, "cli:someone")


def test_a_job_that_was_taken_back_is_let_go(jobs: Jobs) -> None:
    """Another worker has it now: the child is ended and the row is not touched."""
    id = jobs.add("sleep")
    with running(jobs, id):
        ledger.release(jobs.store, jobs.get(id), counted=True)
        taken = jobs.claim(id)
    assert jobs.get(id) == taken
    assert children() == []


WORKER = """
import os, sys
from pathlib import Path
from appliance.jobs.runner import Runner
from tests.unit.jobs import bodies
home, job = Path(sys.argv[1]), sys.argv[2]
store, module = bodies.open_store(home), "tests.unit.jobs.bodies"
Runner(store, home, home / "run", module, 30.0, 1.0, 1 << 40, lambda: False).run(job)
"""


def test_a_child_dies_with_its_worker_and_the_job_is_taken_up_again(jobs: Jobs) -> None:
    id = jobs.add("sleep")
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), str(jobs.home), id], cwd=ROOT)
    wait_until(lambda: progress.read(jobs.run_dir, id)["phase"])
    (child,) = psutil.Process(worker.pid).children()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 3)
    assert jobs.get(id).state is JobState.RUNNING  # nobody is left to say otherwise
    assert ledger.claim(jobs.store, id, 30.0) is None
    assert ledger.reconcile(jobs.store) == [id]
    assert (jobs.get(id).state, jobs.get(id).attempts) == (JobState.QUEUED, 1)


def test_a_child_that_cannot_be_started_costs_no_attempt(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where its log belongs: the job waits, and is run once that is mended."""
    monkeypatch.setattr(runner, "_GRACE", 0.0)
    id = jobs.add("succeed", x=1)
    folder = progress.log_file(jobs.home, id).parent
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    job = run(jobs, id)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    folder.unlink()
    assert run(jobs, id).state is JobState.SUCCEEDED


def test_a_second_wake_leaves_a_running_job_alone(jobs: Jobs) -> None:
    id = jobs.add("sleep")
    with running(jobs, id):
        run(jobs, id)
        assert progress.read(jobs.run_dir, id)["phase"] == "resting"
        ledger.request_cancel(jobs.store, id, "me")
    assert jobs.get(id).state is JobState.CANCELLED


def test_a_busy_registry_at_the_commit_is_tried_again(jobs: Jobs) -> None:
    job = run(jobs, jobs.add("busy"))
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)
