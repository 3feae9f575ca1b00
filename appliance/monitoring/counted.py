"""Rows that one version answered, as counts in its reference bins; constant memory whatever comes."""

from __future__ import annotations

import numpy as np

from appliance.data.bins import Counts, Floats, Reference

MOST = 1 << 26  # bytes of rows that wait to be counted; a flush comes long before
LARGE = 1 << 17  # bytes of a batch that is kept as it is: to copy it would hold the endpoint up


class Counted:
    """`rows`, and how they and the answers fall: `features`, `score`, int64 flat as the tables lay them.

    `add` puts rows aside, small ones as bytes in one buffer: objects that are kept cost the request more,
    in cold memory. `settle` counts them, many at once, a hundred times cheaper than one by one.
    """

    __slots__ = ("_batches", "_held", "_outputs", "_values", "_x", "features", "reference", "rows", "score")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.rows = 0
        self.features: Counts = np.zeros(reference.feature_table.size, np.int64)
        self.score: Counts = np.zeros(reference.score_table.size, np.int64)
        self._x = bytearray()
        self._values = bytearray()
        self._outputs = 1
        self._batches: list[tuple[Floats, Floats]] = []
        self._held = 0

    def add(self, x: Floats, values: Floats) -> None:
        """Rows [n, width] with their answers [n, k]."""
        if x.nbytes > LARGE:
            self._batches.append((x, values))
        else:
            self._x += x.tobytes()
            self._values += values.tobytes()
            self._outputs = values.shape[1]
        self._held += x.nbytes
        if self._held > MOST:
            self.settle()

    def settle(self) -> None:
        """Count what was put aside."""
        batches, self._batches, self._held = self._batches, [], 0
        if self._values:
            x, values = (np.frombuffer(bytes(part), np.float32) for part in (self._x, self._values))
            values = values.reshape(-1, self._outputs)
            batches.append((x.reshape(len(values), -1), values))
            self._x.clear()
            self._values.clear()
        for x, values in batches:
            self.features += self.reference.feature_table.count(x)
            self.score += self.reference.score_table.count(values[:, self.reference.outputs])
            self.rows += len(values)

    def merge(self, other: Counted) -> None:
        """Add what another one counted for the same version."""
        other.settle()
        self.rows += other.rows
        self.features += other.features
        self.score += other.score
