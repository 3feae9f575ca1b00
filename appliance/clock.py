"""Two clocks, and when each is right.

`now()` is the wall clock in UTC, for what people read; it may jump. `uptime()` counts seconds since
this boot, also through suspend, and never jumps: leases and deadlines use it, together with
`boot_id()`, because a count from another boot says nothing about this one.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path


def now() -> str:
    """The wall clock as ISO 8601 in UTC with milliseconds, e.g. `2026-11-23T12:00:00.000Z`."""
    return stamp(datetime.now(UTC))


def stamp(instant: datetime) -> str:
    """An instant in UTC as `now` writes it; such texts sort as the instants do."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_of(seconds: float) -> str:
    """Seconds since 1970, as `now` writes them."""
    return stamp(datetime.fromtimestamp(seconds, UTC))


def parse(stamp: str) -> datetime:
    """The instant that a stamp made by `now` names."""
    return datetime.fromisoformat(stamp)


def uptime() -> float:
    """Seconds since this machine started, unaffected by changes of the wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's id of this boot (36 characters)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
