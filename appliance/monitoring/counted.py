"""Rows that one version answered, as counts in its reference bins; constant memory whatever comes."""

from __future__ import annotations

import numpy as np

from appliance.data.bins import Counts, Floats, Reference

MOST = 1 << 24  # bytes of rows that wait to be counted


class Counted:
    """`rows`, and how they and the answers fall: `features`, `score`, int64 flat as the tables lay them.

    `add` puts rows aside, as bytes in one buffer: objects that are kept cost the request path more, in cold
    memory. `settle` counts them, many at once, which is a hundred times cheaper than one by one.
    """

    __slots__ = ("_outputs", "_values", "_x", "features", "reference", "rows", "score")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = 0
        self.features: Counts = np.zeros(reference.feature_table.size, np.int64)
        self.score: Counts = np.zeros(reference.score_table.size, np.int64)
        self._x = bytearray()
        self._values = bytearray()
        self._outputs = 1

    def add(self, x: Floats, values: Floats) -> None:
        """Rows [n, width] with their answers [n, k]."""
        self._x += x.tobytes()
        self._values += values.tobytes()
        self._outputs = values.shape[1]
        if len(self._x) > MOST:
            self.settle()

    def settle(self) -> None:
        """Count what was put aside."""
        if not self._values:
            return
        x, values = (np.frombuffer(bytes(part), np.float32) for part in (self._x, self._values))
        self._x.clear()
        self._values.clear()
        values = values.reshape(-1, self._outputs)
        self.features += self.reference.feature_table.count(x.reshape(len(values), -1))
        self.score += self.reference.score_table.count(values[:, self.reference.outputs])
        self.rows += len(values)

    def merge(self, other: Counted) -> None:
        """Add what another one counted for the same version."""
        other.settle()
        self.rows += other.rows
        self.features += other.features
        self.score += other.score
