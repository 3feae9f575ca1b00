"""Whether somebody has moved the wall clock since the appliance started.

The wall clock and the uptime go at the same pace (both are steered alike), so what lies between them changes
only when the wall clock is set. What it was at the first look is kept on tmpfs, and with it the jump that was
seen since: it is told until the clock is back where it was, or for a day.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from appliance import clock

LEAST = 60.0  # seconds; less is told by nobody
TOLD = 86_400.0  # seconds for which a jump is told; then the clock's new place is taken for the right one


@dataclass(frozen=True)
class Seen:
    """`between`: seconds from uptime to wall clock as they should be; `by`: how far it was moved since."""

    boot: str
    between: float
    by: float = 0.0
    at: str = ""  # wall clock, as it was after the jump
    uptime: float = 0.0


def judge(before: Seen | None, boot: str, wall: float, uptime: float, at: str) -> Seen:
    """What is so after one more look. Pure."""
    between = wall - uptime
    if before is None or before.boot != boot:
        return Seen(boot, between)
    by = between - before.between
    if abs(by) < LEAST:
        return Seen(boot, before.between)
    if abs(by - before.by) >= LEAST:  # moved just now
        return replace(before, by=by, at=at, uptime=uptime)
    if uptime - before.uptime > TOLD:
        return Seen(boot, between)
    return before


def look(run_dir: Path) -> Seen:
    """Look at both clocks once, and remember."""
    path = run_dir / "clock.json"
    before = None
    with contextlib.suppress(OSError, ValueError, TypeError):
        before = Seen(**json.loads(path.read_text()))
    found = judge(before, clock.boot_id(), time.time(), clock.uptime(), clock.now())
    if found != before:
        temporary = run_dir / f".clock.{os.getpid()}.{threading.get_ident()}"
        with contextlib.suppress(OSError):  # the appliance stops just now
            temporary.write_text(json.dumps(asdict(found)))
            temporary.rename(path)
    return found
