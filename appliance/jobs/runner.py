"""Running one job: claim it, start its child within bounds, watch it, and leave the row in a true state.

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
from appliance.jobs import bounds, groups, ledger, progress
from appliance.jobs.child import INTERRUPTED
from appliance.jobs.groups import Groups
from appliance.jobs.ledger import Job

log = logging.getLogger(__name__)

_LOOK = 0.1
_GRACE = 5.0
_LAST_WORDS = 1 << 16
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
    groups: Groups | None = None

    def run(self, id: str) -> None:
        """Run a job to an end that its row tells. Never raises: it is called by Huey's threads."""
        try:
            job = ledger.claim(self.store, id, self.lease)
            if job is None:
                return
            try:
                with self._group(job) as group, self._started(job, group) as child:
                    self._watch(job, child)
            finally:
                progress.clear(self.run_dir, id)
        except FalajError as error:
            log.warning("job %s: %s", id, error.message)
        except Exception:
            log.exception("job %s: the worker failed", id)

    def _group(self, job: Job) -> contextlib.AbstractContextManager[Path | None]:
        if self.groups is None:
            return contextlib.nullcontext()
        return self.groups.made(job.id, self.memory_bytes)

    @contextlib.contextmanager
    def _started(self, job: Job, group: Path | None) -> Iterator[_Child]:
        try:
            child = self._start(job, group)
        except OSError:  # a full disk, no memory for a process: not the job's fault
            time.sleep(_GRACE)
            ledger.release(self.store, job, counted=False)
            raise
        try:
            yield child
        finally:
            _kill(child.process)

    def _start(self, job: Job, group: Path | None) -> _Child:
        path = progress.log_file(self.home, job.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        arguments = [str(self.home), job.id, str(job.attempts)]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            before = output.tell()
            process = subprocess.Popen(
                bounds.command(self.memory_bytes, group, self.module, arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | _QUIET_OPENMP | {"FALAJ_PARENT": str(os.getpid())},
                start_new_session=True,
            )
        return _Child(process, group, path, before)

    def _watch(self, job: Job, child: _Child) -> None:
        process = child.process
        started = beaten = time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK)
            now = time.monotonic()
            if self.stopping():
                _stop(process)
                if process.returncode != 0:
                    ledger.release(self.store, job, counted=False)
                return
            if self._is_cancelled(job):
                return self._end(
                    job, process, Cancelled("The job was cancelled.", "Start it again when you want it.")
                )
            if now - started > job.timeout:
                return self._end(job, process, _too_slow(job))
            if (used := child.look()) > self.memory_bytes:
                return self._end(job, process, _too_big(f"{used >> 20}", self.memory_bytes))
            if now - beaten > self.heartbeat:
                self._beat(job)
                beaten = now
        self._settle(job, child)

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

    def _settle(self, job: Job, child: _Child) -> None:
        """A child that ended by itself has written its row, unless it crashed."""
        code = child.process.returncode
        if code == 0:
            return
        log.warning("job %s: its process ended with %s", job.id, code)
        with contextlib.suppress(Conflict):
            if code == INTERRUPTED:
                ledger.release(self.store, job, counted=True)
            elif groups.was_too_big(child.group):
                ledger.fail(self.store, job, _too_big(f"over {self.memory_bytes >> 20}", self.memory_bytes))
            elif child.ran_out(limit := bounds.mappable(self.memory_bytes)):
                ledger.fail(self.store, job, _too_big(f"over {limit >> 20}", self.memory_bytes))
            elif code < 0:
                ledger.release(self.store, job, counted=True)
            else:
                ledger.fail(self.store, job, _crashed(job))

    def _end(self, job: Job, child: subprocess.Popen[bytes], error: FalajError) -> None:
        _stop(child)
        with contextlib.suppress(Conflict):  # it may have succeeded in its last moment
            ledger.fail(self.store, job, error)


@dataclass
class _Child:
    """A job's process, its cgroup if it has one, and its log, in which its own words start at `begun`."""

    process: subprocess.Popen[bytes]
    group: Path | None
    log: Path
    begun: int
    mapped: int = 0

    def look(self) -> int:
        """The bytes that it holds just now."""
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(self.process.pid).memory_info()
            self.mapped = memory.data
            return int(memory.rss)
        return 0

    def ran_out(self, mappable: int) -> bool:
        """Whether it died because it got no more memory: libraries say so, or crash where they should."""
        with self.log.open("rb") as file:
            file.seek(max(self.begun, self.log.stat().st_size - _LAST_WORDS))
            return bounds.ran_out(file.read()) or self.mapped > mappable * 0.9


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


def _too_slow(job: Job) -> FalajError:
    return DeadlineExceeded(
        f"The job took longer than the {job.timeout:g} seconds it was allowed.",
        "Give it less work, or raise jobs.timeout in falaj.toml.",
    )


def _too_big(needed: str, allowed: int) -> FalajError:
    return TooLarge(
        f"The job needed {needed} MiB of memory; {allowed >> 20} MiB are allowed.",
        "Give it less data, or raise jobs.memory_mb in falaj.toml.",
    )


def _crashed(job: Job) -> FalajError:
    return FalajError("The job failed unexpectedly.", f"Read its log with: falaj job logs {job.id}")
