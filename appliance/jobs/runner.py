"""Running one job: claim it, start its child, watch it, and leave the row in a true state.

The watcher extends the lease, and ends the child when it is cancelled, over its time, over its memory,
or when the worker itself stops (the job then waits again and the attempt is not counted). A child
that dies by a signal is tried again until its attempts are used up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from appliance.db import Store
from appliance.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    FalajError,
    TooLarge,
)
from appliance.jobs import ledger, progress
from appliance.jobs.child import INTERRUPTED
from appliance.jobs.ledger import Job

log = logging.getLogger(__name__)

_LOOK = 0.1
_GRACE = 5.0
_QUIET_OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Runner:
    """What it takes to run jobs. `module` is started as `python -m module HOME JOB ATTEMPT`."""

    store: Store
    home: Path
    run_dir: Path
    module: str
    lease: float
    heartbeat: float
    memory_bytes: int
    stopping: Callable[[], bool]

    def run(self, id: str) -> None:
        """Run a job to an end that its row tells. Never raises: it is called by Huey's threads."""
        try:
            job = ledger.claim(self.store, id, self.lease)
            if job is None:
                return
            try:
                with self._started(job) as child:
                    self._watch(job, child)
            finally:
                progress.clear(self.run_dir, id)
        except FalajError as error:
            log.warning("job %s: %s", id, error.message)
        except Exception:
            log.exception("job %s: the worker failed", id)

    @contextlib.contextmanager
    def _started(self, job: Job) -> Iterator[subprocess.Popen[bytes]]:
        try:
            child = self._start(job)
        except OSError:  # a full disk, no memory for a process: not the job's fault
            time.sleep(_GRACE)
            ledger.release(self.store, job, counted=False)
            raise
        try:
            yield child
        finally:
            _kill(child)

    def _start(self, job: Job) -> subprocess.Popen[bytes]:
        path = progress.log_file(self.home, job.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", self.module, str(self.home), job.id, str(job.attempts)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | _QUIET_OPENMP | {"FALAJ_PARENT": str(os.getpid())},
                start_new_session=True,
            )

    def _watch(self, job: Job, child: subprocess.Popen[bytes]) -> None:
        started = beaten = time.monotonic()
        while child.poll() is None:
            time.sleep(_LOOK)
            now = time.monotonic()
            if self.stopping():
                _stop(child)
                if child.returncode != 0:
                    ledger.release(self.store, job, counted=False)
                return
            if self._is_cancelled(job):
                return self._end(
                    job, child, Cancelled("The job was cancelled.", "Start it again when you want it.")
                )
            if now - started > job.timeout:
                return self._end(job, child, _too_slow(job))
            if (used := _memory(child.pid)) > self.memory_bytes:
                return self._end(job, child, _too_big(used, self.memory_bytes))
            if now - beaten > self.heartbeat:
                self._beat(job)
                beaten = now
        self._settle(job, child.returncode)

    def _beat(self, job: Job) -> None:
        """Extend the lease. A registry that can't be written is no reason to end the child: it may be the one
        that frees the space, and nobody else could write down that the lease has passed.
        """
        try:
            ledger.heartbeat(self.store, job, self.lease)
        except Conflict:
            raise
        except FalajError as error:
            log.warning("job %s: no sign of life could be written: %s", job.id, error.message)

    def _is_cancelled(self, job: Job) -> bool:
        """Whether somebody wants it stopped; nobody can have said so where the registry can't be read."""
        try:
            return ledger.is_cancelled(self.store, job.id)
        except FalajError:
            return False

    def _settle(self, job: Job, code: int) -> None:
        """A child that ended by itself has written its row, unless it crashed."""
        if code == 0:
            return
        log.warning("job %s: its process ended with %s", job.id, code)
        with contextlib.suppress(Conflict):
            if code < 0 or code == INTERRUPTED:
                ledger.release(self.store, job, counted=True)
            else:
                ledger.fail(self.store, job, _crashed(job))

    def _end(self, job: Job, child: subprocess.Popen[bytes], error: FalajError) -> None:
        _stop(child)
        with contextlib.suppress(Conflict):  # it may have succeeded in its last moment
            ledger.fail(self.store, job, error)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _memory(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _too_slow(job: Job) -> FalajError:
    return DeadlineExceeded(
        f"The job took longer than the {job.timeout:g} seconds it was allowed.",
        "Give it less work, or raise jobs.timeout in falaj.toml.",
    )


def _too_big(used: int, allowed: int) -> FalajError:
    return TooLarge(
        f"The job needed {used >> 20} MiB of memory; {allowed >> 20} MiB are allowed.",
        "Give it less data, or raise jobs.memory_mb in falaj.toml.",
    )


def _crashed(job: Job) -> FalajError:
    return FalajError("The job failed unexpectedly.", f"Read its log with: falaj job logs {job.id}")
