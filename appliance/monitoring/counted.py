"""Rows that one version answered, as counts in its reference bins; constant memory whatever comes."""

from __future__ import annotations

import numpy as np

from appliance.data.bins import Counts, Floats, Reference

BLOCK = 64  # rows gathered before one pass of numpy counts them: under half a microsecond a row


class Counted:
    """`rows`, and how they and the answers fall: `features`, `score`, int64 flat as the tables lay them."""

    __slots__ = ("_gathered", "_waiting", "features", "reference", "rows", "score")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = 0
        self.features: Counts = np.zeros(reference.feature_table.size, np.int64)
        self.score: Counts = np.zeros(reference.score_table.size, np.int64)
        self._gathered: list[tuple[Floats, Floats]] = []
        self._waiting = 0

    def add(self, x: Floats, values: Floats) -> None:
        """Put rows aside [n, width] with their answers [n, k]; counted when a block is full."""
        self._gathered.append((x, values))
        self._waiting += len(x)
        if self._waiting >= BLOCK:
            self.settle()

    def settle(self) -> None:
        """Count what was put aside."""
        if not self._gathered:
            return
        x, values = (np.concatenate(part) for part in zip(*self._gathered, strict=True))
        self._gathered.clear()
        self._waiting = 0
        self.features += self.reference.feature_table.count(x)
        self.score += self.reference.score_table.count(values[:, self.reference.outputs])
        self.rows += len(x)

    def merge(self, other: Counted) -> None:
        """Add what another one counted for the same version."""
        other.settle()
        self.rows += other.rows
        self.features += other.features
        self.score += other.score
