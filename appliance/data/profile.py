"""The profile of a table, built chunk by chunk in constant memory.

Counts, mean, deviation, minimum and maximum are exact; the histogram is exact over the range known
from inference; distinct and frequent values are exact as far as `counting` is, and say so. Quantiles
are of all rows up to a cap, then of a uniform sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from appliance.data.counting import DistinctCount, FrequentValues
from appliance.data.types import DatasetColumn, Kind

TOP = 20
BINS = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SAMPLE_ROWS, _SAMPLE_CELLS = 100_000, 3_000_000
_EPOCH = datetime(1970, 1, 1)
_MEASURED = (Kind.NUMBER, Kind.INTEGER, Kind.DATETIME)

Range = tuple[float, float] | None
Mask = NDArray[np.bool_]


class TableProfile:
    """Feed it the stored frames in order with `add`, then take `as_json`.

    `ranges` are the (minimum, maximum) of each column, dates in microseconds since 1970.
    """

    def __init__(self, columns: Sequence[DatasetColumn], ranges: Sequence[Range]) -> None:
        self.rows = 0
        self._columns = [_ColumnProfile(column, span) for column, span in zip(columns, ranges, strict=True)]
        self._cap = min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(len(columns), 1))
        self._share, self._draws = 1.0, np.zeros(0)  # a row is in the sample while its draw < share
        self._rng = np.random.default_rng(0)

    def add(self, frame: pl.DataFrame, threads: Executor) -> None:
        self.rows += frame.height
        draws = self._rng.random(frame.height)
        sampled = draws < self._share
        self._draws = np.concatenate((self._draws, draws[sampled]))
        list(threads.map(lambda column: column.add(frame[column.name], sampled), self._columns))
        while len(self._draws) > self._cap:
            self._share /= 2
            keep = self._draws < self._share
            self._draws = self._draws[keep]
            for column in self._columns:
                column.thin(keep)

    def as_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "columns": [column.as_json() for column in self._columns]}


class _ColumnProfile:
    def __init__(self, column: DatasetColumn, span: Range) -> None:
        self.name, self.kind = column.name, column.kind
        self._known = self._missing = 0
        self._frequent = None if column.kind in _MEASURED else FrequentValues()
        self._distinct = self._frequent.distinct if self._frequent else DistinctCount()
        self._moments = _Moments()
        self._span = span
        self._bins = np.zeros(BINS, dtype=np.int64)
        self._sample = np.zeros(0)

    def add(self, series: pl.Series, sampled: Mask) -> None:
        known = series.drop_nulls()
        self._known += len(known)
        self._missing += len(series) - len(known)
        if self._frequent is not None:
            self._frequent.add(known)
            return
        self._distinct.add(known)
        values = series.to_physical().cast(pl.Float64).to_numpy()
        self._sample = np.concatenate((self._sample, values[sampled]))
        if len(known) != len(series):
            values = values[~np.isnan(values)]
        self._moments.add(values)
        if self._span is not None and self._span[0] < self._span[1]:
            self._bins += np.histogram(values, BINS, self._span)[0]

    def thin(self, keep: Mask) -> None:
        if self.kind in _MEASURED:
            self._sample = self._sample[keep]

    def _shown(self, value: float) -> Any:
        if self.kind is Kind.DATETIME:
            return (_EPOCH + timedelta(microseconds=value)).isoformat(timespec="seconds")
        return int(value) if self.kind is Kind.INTEGER and value == int(value) else float(value)

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": self.name, "kind": self.kind.value, "count": self._known, "missing": self._missing,
            "distinct": self._distinct.count(), "distinct_exact": self._distinct.exact,
            "min": None, "max": None, "mean": None, "std": None,
            "quantiles": {}, "top": [], "top_exact": True, "histogram": None,
        }  # fmt: skip
        if self._frequent is not None:
            body["top"] = [list(pair) for pair in self._frequent.top(TOP)]
            body["top_exact"] = self._frequent.exact
        if self.kind not in _MEASURED or not self._known:
            return body
        low, high = self._moments.low, self._moments.high
        body["min"], body["max"] = self._shown(low), self._shown(high)
        if self.kind is not Kind.DATETIME:
            body["mean"], body["std"] = self._moments.mean, self._moments.deviation()
        sample = self._sample[~np.isnan(self._sample)]
        if len(sample):
            found = np.quantile(sample, QUANTILES).tolist()
            body["quantiles"] = {
                str(share): self._shown(value) for share, value in zip(QUANTILES, found, strict=True)
            }
        body["histogram"] = self._histogram(low, high)
        return body

    def _histogram(self, low: float, high: float) -> dict[str, Any]:
        if self._span is None or low == high:
            return {"edges": [self._shown(low), self._shown(high)], "counts": [self._known]}
        edges = np.histogram_bin_edges(np.zeros(0), BINS, self._span).tolist()
        return {"edges": [self._edge(edge) for edge in edges], "counts": self._bins.tolist()}

    def _edge(self, value: float) -> Any:
        return self._shown(value) if self.kind is Kind.DATETIME else float(value)


class _Moments:
    """Count, mean and squared deviation that add up over chunks (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: NDArray[np.float64]) -> None:
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            squares = float(((values - mean) ** 2).sum())
        shift, total = mean - self.mean, self.count + len(values)
        self._squares += squares + shift * shift * self.count * len(values) / total
        self.mean += shift * len(values) / total
        self.count = total
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def deviation(self) -> float | None:
        """Of a sample (n - 1); None where there is one value or the numbers are too large."""
        if self.count <= 1 or not math.isfinite(self._squares):
            return None
        return math.sqrt(self._squares / (self.count - 1))
