"""What keeps a job's process from making the machine unusable: `python -m appliance.jobs.bounds ...`.

It gets processor and disk only when nobody else wants them, its memory has a hard end, and if the machine
runs out of memory it is the one that goes. This runs first in the process, while it has one thread and no
library: every later thread, and every process that it starts, is bound in the same way. Then it becomes
the module that it was told.
"""

from __future__ import annotations

import contextlib
import os
import resource
import runpy
import sys
from pathlib import Path

import psutil

_MIB = 1 << 20
_FILES = 4096
_FIXED = 512 * _MIB  # code, and what allocators keep back: a training maps 200 MiB more than it holds
_PER_CORE = 32 * _MIB  # stacks of the threads of several libraries
# what libraries say, between them, when they get no memory
_OUT_OF_MEMORY = (
    b"MemoryError",
    b"bad_alloc",
    b"bad allocation",
    b"memory allocation of",
    b"allocate memory",
    b"can't start new thread",
)


def command(memory_bytes: int, group: Path | None, module: str, arguments: list[str]) -> list[str]:
    """How to start a module in a process that is bound; `group` is a cgroup to go into."""
    bounds = [str(memory_bytes), str(group or "")]
    return [sys.executable, "-m", "appliance.jobs.bounds", *bounds, module, *arguments]


def mappable(memory_bytes: int) -> int:
    """What a job may map: so far above what it may hold that only a burst between two looks gets there."""
    return memory_bytes + memory_bytes // 4 + _FIXED + _PER_CORE * (os.cpu_count() or 1)


def ran_out(said: bytes) -> bool:
    """Whether these last words of a process are of one that got no more memory."""
    return any(word in said for word in _OUT_OF_MEMORY)


def _put(memory_bytes: int, group: str) -> None:
    """Bind this process. What the system does not allow is left out."""
    if group:
        with contextlib.suppress(OSError):
            (Path(group) / "cgroup.procs").write_text("0")
    limits = {
        resource.RLIMIT_DATA: mappable(memory_bytes),
        resource.RLIMIT_CORE: 0,  # it would hold rows, in the open
        resource.RLIMIT_NOFILE: _FILES,
    }
    for which, limit in limits.items():
        with contextlib.suppress(OSError, ValueError):  # ours is above one that is in force already
            resource.setrlimit(which, (limit, limit))
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    _, _told_memory, _told_group, _module, *_arguments = sys.argv
    _put(int(_told_memory), _told_group)
    sys.argv = [_module, *_arguments]
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
