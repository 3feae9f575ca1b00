"""What one inference worker counts and writes down, without the request path feeling it.

A request costs a few integers and some bytes put aside, after its reply has gone out. A thread of its own
takes what has gathered, every two seconds, counts the rows into the reference bins (numpy does that without
the interpreter's lock) and adds all of it to telemetry in one transaction. What can't be written (a full
disk) is kept: counts are sums and take no more room, and of the predictions the newest that fit.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from appliance.data.bins import Floats, Reference
from appliance.db import Store
from appliance.errors import FalajError
from appliance.monitoring import prediction_log, prometheus, traffic, windows
from appliance.monitoring.counted import Counted
from appliance.monitoring.prediction_log import Piece
from appliance.monitoring.traffic import Meter

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds between two flushes; each makes some requests wait, so not oftener
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

    def settle(self) -> None:
        """Do the work that was put off: count the rows, compress the predictions."""
        if self.counted is not None:
            self.counted.settle()
            self.meter.rows = self.counted.rows
        for piece in self.pieces:
            piece.pack()

    def log(self, runtime: str, *prediction: Any) -> None:
        """Put a prediction behind the others of its runtime."""
        pieces = self.pieces
        if not pieces or pieces[-1].runtime != runtime or not pieces[-1].add(*prediction):
            pieces.append(Piece(runtime))
            pieces[-1].add(*prediction)


class Recorder:
    """One for a process; `answered` and `refused` never wait for the disk."""

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

    def answered(
        self, seconds: float, request_id: str, reply: bytes, answer: Answer, token: str, request: bytes
    ) -> None:
        """Rows were answered; `request` and `reply` are the bodies, empty where they are not at hand."""
        served, reference = (answer.model, answer.version), answer.reference
        with self._lock:
            gathered = self._gathered.get(served)
            if gathered is None:
                gathered = self._gathered[served] = Gathered()
            gathered.meter.add(200, seconds)
            if reference is not None:
                (gathered.counted or gathered.count(reference)).add(answer.x, answer.values)
            if self._log_predictions:
                gathered.log(answer.runtime, request_id, len(answer.x), token, request, reply)

    def refused(self, model: str, version: int, status: int, seconds: float) -> None:
        """A request ended without an answer; `model` is "" for one that named no deployed model."""
        with self._lock:
            self._gathered.setdefault((model, version), Gathered()).meter.add(status, seconds)

    def flush(self) -> None:
        """Add what has gathered to telemetry; if that fails it is kept and tried again."""
        with self._lock:
            taken, self._gathered = self._gathered, {}
        if not taken:
            return
        try:
            self._write(taken)
            self._all_is_well()
        except Exception as error:  # whatever it is: what was counted must not be lost for it
            told = error.message if isinstance(error, FalajError) else repr(error)
            if told != self.trouble:
                log.warning("telemetry can't be written, and is kept in memory: %s", told)
            self.trouble = told
            with self._lock:
                newer, self._gathered = self._gathered, taken
                for served, gathered in newer.items():
                    taken.setdefault(served, Gathered()).merge(gathered)
                self.lost += _forget(taken)

    def _all_is_well(self) -> None:
        if self.trouble:
            log.info("telemetry is written again; %d kept predictions did not fit in memory", self.lost)
        self.trouble, self.lost = "", 0

    def exposition(self, in_flight: int) -> str:
        """All requests of this appliance so far as Prometheus text; blocking. Raises FalajError."""
        self.flush()
        return prometheus.requests(traffic.totals(self._telemetry), in_flight)

    def _write(self, taken: dict[Served, Gathered]) -> None:
        for gathered in taken.values():
            gathered.settle()  # before the database is locked
        with self._telemetry.write() as tx:
            for (model, version), gathered in taken.items():
                if (counted := gathered.counted) is not None:
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
    held = sum(piece.held for gathered in kept.values() for piece in gathered.pieces)
    for gathered in kept.values():
        while gathered.pieces and held > MOST_LOGGED:
            oldest = gathered.pieces.pop(0)
            held -= oldest.held
            gone += oldest.predictions
    return gone
