"""The inference workers as a crew that grows and shrinks with the load; lives in their parent.

It reads from the kernel how much each worker has to do, does what the governor decides, and tells it on
tmpfs. Who leaves does so gently (SIGUSR1): it answers what still comes, and ends. When one has joined, the
others let go of half of their connections (SIGUSR2): callers that keep theirs would never come to it. Who
gives no sign of life is killed, and the family starts another.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from appliance import presence
from appliance.daemon.family import Child, Family
from appliance.daemon.governor import Governor
from appliance.daemon.vigil import Vigil
from appliance.process import core_time

log = logging.getLogger(__name__)

_LOOK = 1.0  # seconds between two looks
_LATE = 20.0  # seconds from one look to the next after which the parent itself is stuck
_SPARE = 1.5  # memory must be left for so many workers of the largest one's size, or none is added


class Crew:
    """`look` is called often, on the parent's own rounds."""

    def __init__(
        self,
        family: Family,
        governor: Governor,
        made: Sequence[socket.socket],
        run_dir: Path,
        leave_seconds: float,
        stuck_seconds: float,
    ) -> None:
        self._family = family
        self._governor = governor
        self._made = made
        self._run_dir = run_dir
        self._leave_seconds = leave_seconds
        self._vigil = Vigil(run_dir, stuck_seconds)
        self._looked = 0.0
        self._spent: dict[int, tuple[dict[int, float], float]] = {}  # by process: core_time, and when
        self._there: set[int] = set()
        self._numbers = 0
        self._complete = False  # all workers were ready once
        self._why, self._since = "start", datetime.now(UTC)
        for _ in range(governor.floor):
            self._add()

    def look(self) -> None:
        """Once a second: measure, decide, act, tell."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        crew = [child for child in self._family.children if child.leave_by is None]
        there = presence.present(self._run_dir, "inference-worker")
        self._welcome(crew, {body["pid"] for body in there})
        self._replace(now, crew, {body["pid"] for body in there if body["ready"]})
        busy = self._measure(crew, now)
        wanted = self._governor.decide(now, list(busy.values()), len(crew), self._has_room(crew))
        if wanted > len(crew):
            self._change("more load", wanted)
            self._add()
        elif wanted < len(crew):
            self._change("less load", wanted)
            self._family.leave(self._leaver(crew), self._leave_seconds)
        self._tell(wanted, busy)

    def trouble(self) -> str:
        """Why the endpoint does not answer as it should; "" when it does. From any thread."""
        if self._looked and time.monotonic() - self._looked > _LATE:
            return "the workers are not looked after"
        if self._vigil.in_vain:
            return "a stuck worker can't be ended"
        proven, floor = len(self._vigil.proven), self._governor.floor
        self._complete = self._complete or proven >= floor
        return "" if self._complete else f"{proven} of {floor} workers are ready"

    def _replace(self, now: float, crew: Sequence[Child], ready: set[int]) -> None:
        """Kill those who no longer answer as they should; the family starts others, not too soon."""
        pids = {child.process.pid: child for child in crew if child.process is not None}
        for pid, why in self._vigil.look(now, ready & pids.keys(), len(crew)).items():
            process = pids[pid].process
            assert process is not None
            log.warning("%s is replaced: %s", pids[pid].name, why)
            process.kill()

    def _leaver(self, crew: Sequence[Child]) -> Child:
        """Who leaves: one that does not answer just now, else the youngest."""
        idle = (child for child in crew if child.process is None or child.process.pid not in self._there)
        return next(idle, crew[-1])

    def close(self) -> None:
        presence.leave(self._run_dir, "inference")

    def _add(self) -> None:
        self._numbers += 1
        name = f"inference worker {self._numbers}"
        self._family.children.append(Child.on_sockets(name, "inference-worker", self._made))

    def _change(self, why: str, wanted: int) -> None:
        self._why, self._since = why, datetime.now(UTC)
        log.info("%s: %d inference workers", why, wanted)

    def _welcome(self, crew: Sequence[Child], there: set[int]) -> None:
        """Have the others share their connections with a worker that begins to answer."""
        if self._there and there - self._there:
            for child in crew:
                if child.process is not None and child.process.pid in self._there:
                    child.process.send_signal(signal.SIGUSR2)
        self._there = there

    def _measure(self, crew: Sequence[Child], now: float) -> dict[int, float]:
        """The part of a processor core that each worker has asked for since the last look, by process."""
        busy, spent = {}, {}
        for child in crew:
            if child.process is None or child.process.pid not in self._there:
                continue  # what it takes to start says nothing of the load
            pid = child.process.pid
            with contextlib.suppress(OSError):
                spent[pid] = core_time(pid), now
                if pid in self._spent:
                    before, at = self._spent[pid]
                    asked = sum(time - before.get(thread, 0.0) for thread, time in spent[pid][0].items())
                    busy[pid] = asked / (now - at)
        self._spent = spent
        return busy

    def _has_room(self, crew: Sequence[Child]) -> bool:
        sizes = [0]
        for pid in self._spent:
            with contextlib.suppress(psutil.Error):
                sizes.append(psutil.Process(pid).memory_info().rss)
        return bool(psutil.virtual_memory().available > _SPARE * max(sizes))

    def _tell(self, workers: int, busy: dict[int, float]) -> None:
        body = {
            "floor": self._governor.floor,
            "ceiling": self._governor.ceiling,
            "workers": workers,
            "busy": {str(pid): round(share, 3) for pid, share in busy.items()},
            "since": self._since.isoformat(timespec="seconds"),
            "why": self._why,
            "wrong": self._vigil.wrong,
        }
        try:
            presence.announce(self._run_dir, "inference", body)
        except OSError as error:
            log.warning("how many workers there are could not be told: %s", error)
