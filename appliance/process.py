"""Processes by a name that is never used twice, and children that die with their parent."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_START_TIME = 19  # field 22 of proc(5), counted after the command's name


def process_name(pid: int) -> str:
    """A process as `pid:start`, which a later process with the same id doesn't share. Raises OSError."""
    return f"{pid}:{_stat(pid)[_START_TIME]}"


def lives(name: str) -> bool:
    """Whether the very process of that name still runs; one that only waits to be reaped does not."""
    pid = name.partition(":")[0]
    try:
        stat = _stat(int(pid))
    except (OSError, ValueError):
        return False
    return f"{pid}:{stat[_START_TIME]}" == name and stat[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def core_time(pid: int) -> dict[int, float]:
    """Seconds that each thread of a process has run on a processor core, or waited for one. Raises OSError.

    Who waits for a core that somebody else has is as busy as who runs.
    """
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            ran, waited, _ = (task / "schedstat").read_text().split()
            found[int(task.name)] = (int(ran) + int(waited)) / 1e9
    return found


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, also if it has died just now."""
    import ctypes  # makes memory that is written and run, which a unit may forbid

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    told = os.environ.get("FALAJ_PARENT")
    if told is not None and os.getppid() != int(told):
        os._exit(1)


def start_as_child() -> None:
    """What every process of the appliance does first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("huey").setLevel(logging.WARNING)
    os.umask(0o077)
    if "FALAJ_PARENT" in os.environ:
        die_with_parent()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def become_owner_of(path: Path) -> None:
    """Give up being root for the account that a folder belongs to; any other account stays what it is."""
    if os.geteuid() != 0:
        return
    found = path.stat()
    if found.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(found.st_uid).pw_name, found.st_gid)
    except KeyError:  # an account without a name
        os.setgroups([])
    os.setresgid(found.st_gid, found.st_gid, found.st_gid)
    os.setresuid(found.st_uid, found.st_uid, found.st_uid)
