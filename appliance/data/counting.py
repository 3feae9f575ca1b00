"""How many different values a column has and which are frequent, in constant memory.

`DistinctCount` is exact up to DISTINCT values, then an estimate from the k smallest hashes (Bar-Yossef
et al. 2002; error about 1/sqrt(k) = 0.8 %). `FrequentValues` is exact while there are at most KEPT.
"""

from __future__ import annotations

import numpy as np
import polars as pl

DISTINCT = 16_384
KEPT = 20_000


class DistinctCount:
    def __init__(self) -> None:
        self._hashes = np.zeros(0, dtype=np.uint64)

    def add(self, values: pl.Series) -> None:
        """Values without nulls."""
        hashes = values.hash()
        if len(self._hashes) == DISTINCT:
            hashes = hashes.filter(hashes <= int(self._hashes[-1]))
        fresh = hashes.unique().to_numpy()
        self._hashes = np.union1d(self._hashes, fresh)[:DISTINCT]

    @property
    def exact(self) -> bool:
        return len(self._hashes) < DISTINCT

    def count(self) -> int:
        if self.exact:
            return len(self._hashes)
        return round((DISTINCT - 1) * 2.0**64 / float(self._hashes[-1]))


class FrequentValues:
    """Counts of values (words or truths); past KEPT different ones the rarest are forgotten."""

    def __init__(self) -> None:
        self.distinct = DistinctCount()
        self.exact = True
        self._counts: pl.DataFrame | None = None

    def add(self, values: pl.Series) -> None:
        """Values without nulls."""
        counts = values.rename("value").value_counts(name="count")
        counts = counts.with_columns(pl.col("count").cast(pl.Int64))
        self.distinct.add(counts["value"])
        if self._counts is not None:
            both = pl.concat((self._counts, counts))
            counts = both.group_by("value").agg(pl.col("count").sum())
        if counts.height > KEPT:
            counts = counts.top_k(KEPT // 2, by="count")
            self.exact = False
        self._counts = counts

    def top(self, count: int) -> list[tuple[str, int]]:
        """The most frequent, most frequent first, equals in the order of the values."""
        if self._counts is None:
            return []
        found = self._counts.sort(["count", "value"], descending=[True, False]).head(count)
        words = {True: "true", False: "false"}
        return [(words.get(value, value), times) for value, times in found.iter_rows()]
