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
from appliance.monitoring.prediction_log import Piece
from appliance.monitoring.traffic import Meter

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds between two flushes
PIECE = 1 << 18  # bytes of predictions that go to the disk as one row
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
    """What has happened to one version since the last flush; "" and 0 stand for no deployed model."""

    __slots__ = ("counted", "meter", "pieces")

    def __init__(self) -> None:
        self.meter = Meter()
        self.counted: Counted | None = None
        self.pieces: list[Piece] = []

    def merge(self, newer: Gathered) -> None:
        self.meter.merge(newer.meter)
        if newer.counted is not None:
            self.count(newer.counted.reference).merge(newer.counted)
        self.pieces += newer.pieces

    def count(self, reference: Reference) -> Counted:
        """The counts of this version, begun with its first row."""
        if self.counted is None:
            self.counted = Counted(reference)
        return self.counted

    def piece(self, runtime: str) -> Piece:
        """Where the next prediction is put."""
        pieces = self.pieces
        if pieces and pieces[-1].runtime == runtime and len(pieces[-1].content) < PIECE:
            return pieces[-1]
        pieces.append(Piece(runtime))
        return pieces[-1]


class Recorder:
    """`requested` is called on the event loop, `predicted` from any thread."""

    def __init__(
        self, telemetry: Store, *, log_predictions: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._telemetry = telemetry
        self._log_predictions = log_predictions
        self._now = now
        self._gathered: dict[Served, Gathered] = {}
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
            gathered = self._gathered.get((model, version))
            if gathered is None:
                gathered = self._gathered[model, version] = Gathered()
            gathered.meter.add(status, seconds)

    def predicted(self, answer: Answer, request_id: str, token: str, request: bytes, reply: bytes) -> None:
        """Rows were answered; `request` and `reply` are the bodies, empty where they are not at hand."""
        rows, reference, large = len(answer.x), answer.reference, None
        if reference is not None and rows > BLOCK:  # counted here, in a pool's thread: nobody waits for it
            large = Counted(reference)
            large.add(answer.x, answer.values)
        with self._lock:
            served = answer.model, answer.version
            gathered = self._gathered.get(served)
            if gathered is None:
                gathered = self._gathered[served] = Gathered()
            if large is not None:
                gathered.count(large.reference).merge(large)
            elif reference is not None:
                (gathered.counted or gathered.count(reference)).add(answer.x, answer.values)
            if self._log_predictions:
                gathered.piece(answer.runtime).add(request_id, rows, token, request, reply)

    def flush(self) -> None:
        """Add what has gathered to telemetry; if that fails it is kept and tried again."""
        with self._lock:
            taken, self._gathered = self._gathered, {}
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
                for served, gathered in newer.items():
                    taken.setdefault(served, Gathered()).merge(gathered)
            self.lost += _forget(taken)

    def exposition(self, in_flight: int) -> str:
        """All requests of this appliance so far as Prometheus text; blocking. Raises FalajError."""
        self.flush()
        return prometheus.requests(traffic.totals(self._telemetry), in_flight)

    def _write(self, taken: dict[Served, Gathered]) -> None:
        with self._telemetry.write() as tx:
            for (model, version), gathered in taken.items():
                if (counted := gathered.counted) is not None:
                    counted.settle()
                    gathered.meter.rows = counted.rows
                    windows.add(tx, model, version, counted.rows, counted.features, counted.score)
                traffic.add(tx, model, version, gathered.meter, self._now())
                for piece in gathered.pieces:
                    prediction_log.add(tx, model, version, piece)

    def _flush_often(self) -> None:
        while not self._stop.wait(EVERY):
            try:
                self.flush()
            except Exception:
                log.exception("telemetry could not be written")


def _forget(kept: dict[Served, Gathered]) -> int:
    """Drop the oldest predictions of each version until all fit in memory; how many went."""
    gone = 0
    held = sum(len(piece.content) for gathered in kept.values() for piece in gathered.pieces)
    for gathered in kept.values():
        while gathered.pieces and held > MOST_LOGGED:
            oldest = gathered.pieces.pop(0)
            held -= len(oldest.content)
            gone += oldest.predictions
    return gone
