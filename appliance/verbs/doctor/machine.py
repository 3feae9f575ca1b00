"""The machine under the appliance: clock, memory, graphics processors."""

from __future__ import annotations

import ctypes
from datetime import UTC, date, datetime
from pathlib import Path

import psutil

import appliance
from appliance.config import Config
from appliance.verbs import clock_jump, troubles
from appliance.verbs.check import Check

_TIMESYNC = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd.service(8)
_STA_UNSYNC = 0x40  # linux/timex.h
_LEAST_MEMORY = 1.8  # GiB: what a machine of 2 GiB shows of them
_DRI, _DEV = Path("/dev/dri"), Path("/dev")


def check_clock(settings: Config) -> Check:
    """Certainly wrong, moved since the start, or merely looked after by nobody."""
    today = datetime.now(UTC).date()
    if today < date.fromisoformat(appliance.RELEASED):
        told = f"it is said to be {today}, and this program was made on {appliance.RELEASED}"
        return Check("clock", False, told, "Set the clock: timedatectl set-time 'YYYY-MM-DD HH:MM'")
    jump = clock_jump.look(settings.run_dir) if settings.run_dir.is_dir() else None
    if jump is not None and jump.by:
        found = troubles.clock_trouble(jump).as_json()
        return Check("clock", False, found["trouble"], found["fix"])
    if (kept := synchronised()) is None:
        return Check("clock", True, f"it is {today}; whether a time service sets it can't be seen from here")
    if not kept:
        advice = "Without a time server, look at it now and then; with one: timedatectl set-ntp true"
        return Check("clock", True, f"it is {today}; no time service sets the clock", advice)
    return Check("clock", True, f"it is {today}, set by a time service")


def synchronised() -> bool | None:
    """Whether a time service keeps the clock right; None where this process may not ask the kernel."""
    if _TIMESYNC.exists():
        return True
    if _filtered():  # a forbidden system call may end the process
        return None
    timex = ctypes.create_string_buffer(512)  # struct timex, 208 bytes on 64 bits; modes 0 only reads
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    return not status & _STA_UNSYNC


def _filtered() -> bool:
    """Whether the system calls of this process are filtered (proc(5), Seccomp)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return any(line.split()[1:] == ["2"] for line in lines if line.startswith("Seccomp:"))


def check_memory(settings: Config) -> Check:
    found = psutil.virtual_memory()
    told = f"{found.total / 2**30:.1f} GiB, {found.available / 2**30:.1f} of them free"
    if found.total < _LEAST_MEMORY * 2**30:
        fix = "Give the machine 2 GiB; until then: falaj config set worker.jobs 1"
        return Check("memory", False, f"{told}: less than Falaj needs to train", fix)
    return Check("memory", True, told)
