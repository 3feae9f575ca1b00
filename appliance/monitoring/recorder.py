"""What one inference worker counts and writes down, without the request path feeling it.

A request costs a few integers and some bytes put aside; rows are counted in blocks, one pass of numpy a
block. A thread of its own takes what has gathered, twice a second, and adds it to telemetry in one
transaction. What can't be written (a full disk) is kept: counts are sums and take no more room, and of the
predictions the newest that fit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from appliance.data.bins import Floats, Reference
from appliance.db import Store
from appliance.errors import FalajError
from appliance.monitoring import prediction_log, prometheus, traffic, windows
from appliance.monitoring.counted import BLOCK, Counted
from appliance.monitoring.traffic import Meter

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds between two flushes
MOST_LOGGED = 16 << 20  # bytes of predictions kept in memory while they can't be written

Served = tuple[str, int]  # model and version


class Answer(Protocol):
    """What the endpoint answered: x float32[n, width] in, values float32[n, k] out."""

    @property
    def model(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def runtime(self) -> str: ...
    @property
    def x(self) -> Floats: ...
    @property
    def values(self) -> Floats: ...
    @property
    def reference(self) -> Reference | None: ...


class Gathered:
    """What has happened since the last flush."""

    __slots__ = ("counted", "logged", "logged_bytes", "meters")

    def __init__(self) -> None:
        self.meters: dict[Served, Meter] = {}
        self.counted: dict[Served, Counted] = {}
        self.logged: dict[tuple[str, int, str], list[bytes]] = {}
        self.logged_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.meters or self.counted or self.logged)

    def merge(self, other: Gathered) -> int:
        """Take in what is newer; how many predictions had to be forgotten for want of room."""
        for served, meter in other.meters.items():
            self.meters.setdefault(served, Meter()).merge(meter)
        for served, counted in other.counted.items():
            self.counted.setdefault(served, Counted(counted.reference)).merge(counted)
        for key, packed in other.logged.items():
            self.logged.setdefault(key, []).extend(packed)
        self.logged_bytes += other.logged_bytes
        return self._forget()

    def _forget(self) -> int:
        gone = 0
        for packed in self.logged.values():
            while packed and self.logged_bytes > MOST_LOGGED:
                self.logged_bytes -= len(packed.pop(0))
                gone += 1
        self.logged = {key: packed for key, packed in self.logged.items() if packed}
        return gone


class Recorder:
    """`requested` is called on the event loop, `predicted` from any thread."""

    def __init__(
        self, telemetry: Store, *, log_predictions: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._telemetry = telemetry
        self._log_predictions = log_predictions
        self._now = now
        self._gathered = Gathered()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_often, name="falaj-telemetry", daemon=True)
        self.trouble = ""  # why nothing can be written at the moment
        self.lost = 0  # predictions that were not kept because of that

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write down the rest."""
        self._stop.set()
        self._thread.join(timeout=5.0)
        self.flush()

    def requested(self, model: str, version: int, status: int, seconds: float) -> None:
        """A prediction request has ended; `model` is "" for one that named no deployed model."""
        with self._lock:
            meters = self._gathered.meters
            meter = meters.get((model, version))
            if meter is None:
                meter = meters[model, version] = Meter()
            meter.add(status, seconds)

    def predicted(self, answer: Answer, request_id: str, token: str, request: bytes, reply: bytes) -> None:
        """Rows were answered; `request` and `reply` are the bodies, empty where they are not at hand."""
        served = (answer.model, answer.version)
        rows = len(answer.x)
        packed = (
            prediction_log.pack(request_id, rows, token, request, reply) if self._log_predictions else b""
        )
        reference, large = answer.reference, None
        if reference is not None and rows > BLOCK:  # counted here, in a pool's thread: nobody waits for it
            large = Counted(reference)
            large.add(answer.x, answer.values)
        with self._lock:
            gathered = self._gathered
            if reference is not None:
                counted = gathered.counted.get(served)
                if counted is None:
                    counted = gathered.counted[served] = Counted(reference)
                if large is None:
                    counted.add(answer.x, answer.values)
                else:
                    counted.merge(large)
            if gathered.logged_bytes > MOST_LOGGED:
                self.lost += bool(packed)
            elif packed:
                gathered.logged.setdefault((*served, answer.runtime), []).append(packed)
                gathered.logged_bytes += len(packed)

    def flush(self) -> None:
        """Add what has gathered to telemetry; if that fails it is kept and tried again."""
        with self._lock:
            taken, self._gathered = self._gathered, Gathered()
        if not taken:
            return
        try:
            self._write(taken)
            self.trouble = ""
        except FalajError as error:
            if error.message != self.trouble:
                log.warning("telemetry can't be written, and is kept in memory: %s", error.message)
            self.trouble = error.message
            with self._lock:
                newer, self._gathered = self._gathered, taken
                self.lost += taken.merge(newer)

    def exposition(self, in_flight: int) -> str:
        """All requests of this appliance so far as Prometheus text; blocking. Raises FalajError."""
        self.flush()
        return prometheus.requests(traffic.totals(self._telemetry), in_flight)

    def _write(self, taken: Gathered) -> None:
        for served, counted in taken.counted.items():
            counted.settle()
            taken.meters.setdefault(served, Meter()).rows = counted.rows
        with self._telemetry.write() as tx:
            for (model, version), meter in taken.meters.items():
                traffic.add(tx, model, version, meter, self._now())
            for (model, version), counted in taken.counted.items():
                windows.add(tx, model, version, counted.rows, counted.features, counted.score)
            for (model, version, runtime), packed in taken.logged.items():
                prediction_log.add(tx, model, version, runtime, packed)

    def _flush_often(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.flush()
            except Exception:
                log.exception("telemetry could not be written")
