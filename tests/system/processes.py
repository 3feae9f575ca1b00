"""The processes of a running appliance, for tests that hurt them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import psutil

from appliance.cli.client import Client
from appliance.errors import Unavailable
from tests.system.appliance import Appliance

ROLES = ("worker", "admin", "inference", "inference-worker", "egress")


def everything(appliance: Appliance) -> list[psutil.Process]:
    """The supervisor and all its descendants."""
    assert appliance.process is not None
    supervisor = psutil.Process(appliance.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def of_role(appliance: Appliance, role: str) -> list[psutil.Process]:
    """The living processes of one role."""
    return _with(appliance, "appliance.daemon", role)


def of_job(appliance: Appliance, job: str) -> list[psutil.Process]:
    """The child process that works on a job."""
    return _with(appliance, "appliance.work", job)


def of_jobs(appliance: Appliance) -> list[psutil.Process]:
    """The child processes of all jobs."""
    return _with(appliance, "appliance.work", "-m")


def _with(appliance: Appliance, module: str, word: str) -> list[psutil.Process]:
    found = []
    for process in everything(appliance):
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if module in command and word in command and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def held(appliance: Appliance, job: str) -> psutil.Process:
    """The child of a job, stopped (SIGSTOP) in the middle of its work: it neither ends nor goes on."""
    child = until(
        lambda: of_job(appliance, job) and show(appliance, job)["progress"] > 0 and of_job(appliance, job)
    )[0]
    child.suspend()
    assert show(appliance, job)["state"] == "running", "it was over before it could be held"
    return child


def show(appliance: Appliance, job: str) -> dict[str, Any]:
    shown: dict[str, Any] = Client(appliance.home).call("job.show", job=job)
    return shown


def ended(appliance: Appliance, job: str, seconds: float = 60.0) -> dict[str, Any]:
    """The job, once it has ended."""
    return until(
        lambda: (found := show(appliance, job))["state"] not in ("queued", "running") and found, seconds
    )


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more."""
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def until(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `look` gives, as soon as it gives something; an error of the appliance means 'not yet'."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, psutil.NoSuchProcess, Unavailable):
            if found := look():
                return found
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)
