"""Rows that one version answered, as counts in its reference bins; constant memory whatever comes."""

from __future__ import annotations

import numpy as np

from appliance.data.bins import Counts, Floats, Reference

BLOCK = 256  # rows gathered before one pass of numpy counts them: under half a microsecond a row


class Counted:
    """`rows`, and how they and the answers fall: `features`, `score`, int64 flat as the tables lay them."""

    __slots__ = ("_outputs", "_values", "_waiting", "_x", "features", "reference", "rows", "score")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = 0
        self.features: Counts = np.zeros(reference.feature_table.size, np.int64)
        self.score: Counts = np.zeros(reference.score_table.size, np.int64)
        self._x = bytearray()
        self._values = bytearray()
        self._waiting = self._outputs = 0

    def add(self, x: Floats, values: Floats) -> None:
        """Put rows aside [n, width] with their answers [n, k]; counted when a block is full."""
        if len(x) >= BLOCK:
            self._count(x, values)
            return
        self._x += x.tobytes()
        self._values += values.tobytes()
        self._outputs = values.shape[1]
        self._waiting += len(x)
        if self._waiting >= BLOCK:
            self.settle()

    def settle(self) -> None:
        """Count what was put aside."""
        if not self._waiting:
            return
        x, values = (np.frombuffer(bytes(part), np.float32) for part in (self._x, self._values))
        self._count(x.reshape(self._waiting, -1), values.reshape(self._waiting, self._outputs))
        self._x.clear()
        self._values.clear()
        self._waiting = 0

    def _count(self, x: Floats, values: Floats) -> None:
        self.features += self.reference.feature_table.count(x)
        self.score += self.reference.score_table.count(values[:, self.reference.outputs])
        self.rows += len(x)

    def merge(self, other: Counted) -> None:
        """Add what another one counted for the same version."""
        other.settle()
        self.rows += other.rows
        self.features += other.features
        self.score += other.score
