"""A control group (cgroup v2) for each job, where systemd has given this process a part of the tree.

The kernel then bounds a job as a whole, with all processes that it starts. A part is ours only when systemd
says so (`Delegate=yes` in the unit, which it notes on the folder); elsewhere nothing is touched. No process
may stand where controllers are handed down, so what runs there already moves into a group `falaj` beside
the jobs' own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_OURS = "falaj"
_CONTROLLERS = ("memory", "cpu", "pids")
_PROCESSES = 1024  # and threads, of one job
_PATIENCE = 5.0
_LOOK = 0.01


@dataclass(frozen=True)
class Groups:
    """The part of the tree that is ours."""

    folder: Path

    @contextlib.contextmanager
    def made(self, job: str, memory_bytes: int) -> Iterator[Path | None]:
        """A group for a job, with its bounds; at the end it is removed with whatever still runs in it.

        None when it could not be made: the job's process has bounds of its own, too.
        """
        group = self.folder / f"job-{job}"
        try:
            group.mkdir(exist_ok=True)
            bound(group, memory_bytes)
        except OSError as error:
            log.warning("job %s gets no control group: %s", job, error)
            yield None
            return
        try:
            yield group
        finally:
            _remove(group)


def bound(group: Path, memory_bytes: int) -> None:
    """Write the bounds of a job, as far as the controllers for them were handed down."""
    wanted = {
        "memory.max": memory_bytes,
        "memory.swap.max": 0,  # a job that swaps makes the whole machine wait
        "memory.oom.group": 1,
        "cpu.idle": 1,
        "pids.max": _PROCESSES,
    }
    for name, value in wanted.items():
        if (group / name).exists():
            (group / name).write_text(str(value))


def was_too_big(group: Path | None) -> bool:
    """Whether the kernel has killed something in a group because its memory was used up."""
    if group is None:
        return False
    with contextlib.suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", (group / "memory.events").read_text(), re.MULTILINE)
        return found is not None and int(found[1]) > 0
    return False


def open_groups() -> Groups | None:
    """Take our part of the tree into use; None where there is none."""
    folder = _delegated()
    if folder is None:
        return None
    try:
        ours = folder / _OURS
        ours.mkdir(exist_ok=True)
        deadline = time.monotonic() + _PATIENCE
        while (pids := (folder / "cgroup.procs").read_text().split()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    (ours / "cgroup.procs").write_text(pid)
        there = (folder / "cgroup.controllers").read_text().split()
        for name in _CONTROLLERS:
            if name in there:
                (folder / "cgroup.subtree_control").write_text(f"+{name}")
        for left in folder.glob("job-*"):  # of a worker that was killed
            _remove(left)
    except OSError as error:
        log.warning("jobs get no control group: %s", error)
        return None
    return Groups(folder)


def _delegated() -> Path | None:
    """The folder that systemd has handed to the unit that we run in."""
    groups, mounts = Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    where = re.search(r"^0::(/.*)$", groups, re.MULTILINE)
    mount = re.search(r"^(?:\S+ ){3}/ (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    if where is None or mount is None:
        return None
    folder = Path(mount[1] + where[1])
    if folder.name == _OURS:
        folder = folder.parent
    with contextlib.suppress(OSError):
        if os.getxattr(folder, "user.delegate") == b"1" and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def _remove(group: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    try:
        (group / "cgroup.kill").write_text("1")
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(_LOOK)
        group.rmdir()
    except OSError as error:
        log.warning("the control group %s is left behind: %s", group, error)
