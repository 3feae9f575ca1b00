"""How many inference workers there should be: a decision from their load, without any I/O.

One more when all that are there have been busy for a few seconds, one less when the others could long
have done the work without it. What makes one join (three quarters busy) and what makes one leave (the
rest would be less than half busy) lie far apart, and so do the spans: it never goes to and fro.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOT = 0.75  # of a processor core; above it requests begin to wait for each other
HOT_SECONDS = 4.0  # longer than the burst of one large batch, shorter than anybody's patience
CALM = 0.5  # what one less would make of the others: far from HOT, so that they do not call it back


@dataclass
class Governor:
    """Between `floor` and `ceiling`, by what `decide` is told; times are of a clock that never jumps."""

    floor: int
    ceiling: int
    calm_seconds: float
    _hot_since: float | None = None
    _calm_since: float | None = None

    def decide(self, now: float, shares: Sequence[float], workers: int, room: bool) -> int:
        """How many of `workers` there should be now: as many, one more or one less.

        `shares` is the part of a processor core that each worker has asked for since the last call; one that
        just starts, or has crashed, is missing there. `room`: whether memory is left for one more.
        """
        complete = len(shares) == workers
        hot = complete and sum(shares) / workers > HOT
        calm = bool(shares) and workers > 1 and sum(shares) / (workers - 1) < CALM
        self._hot_since = _since(self._hot_since, now) if hot else None
        self._calm_since = _since(self._calm_since, now) if calm else None
        wanted = workers
        if workers < self.ceiling and room and _passed(self._hot_since, now, HOT_SECONDS):
            wanted = workers + 1
        elif workers > self.floor and _passed(self._calm_since, now, self.calm_seconds):
            wanted = workers - 1
        if wanted != workers:
            self._hot_since = self._calm_since = None  # what is changed now has to show its effect first
        return wanted


def _since(before: float | None, now: float) -> float:
    return now if before is None else before


def _passed(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
