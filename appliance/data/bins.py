"""How data are spread, as counts in bins: of the training rows once, and of live rows ever after.

Numbers: quantile bins plus one for missing. Categories: one bin a common category, one for the rest and the
never seen, one for missing. Windows are then plain sums of counts: constant memory, mergeable, and no row is
kept (DESIGN, "Drift needs no raw data"). Numpy only: the inference process loads this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.types import Kind

Counts = NDArray[np.int64]
Floats = NDArray[np.float32]
_AT_ONCE = 1 << 22  # comparisons made in one piece: bounds the memory that a large batch takes


@dataclass(frozen=True)
class Bins:
    """One encoded feature, or one output of the model.

    Numeric: `edges` (inner, ascending float32 values, so that training and serving bin alike), and
    len(edges) + 1 counts; x falls in bin `searchsorted(edges, x, side="right")`. Categorical: `codes`, a
    count each, then one for the rest. `missing` is counted apart.
    """

    name: str
    column: str
    kind: str
    edges: tuple[float, ...]
    codes: tuple[int, ...]
    counts: tuple[int, ...]
    missing: int = 0

    @property
    def categorical(self) -> bool:
        return self.kind == Kind.CATEGORICAL

    @property
    def size(self) -> int:
        """How many counts there are, with the one of missing values."""
        return len(self.counts) + 1

    @property
    def all_counts(self) -> Counts:
        """int64[size]: the counts, that of missing values last."""
        return np.array([*self.counts, self.missing], np.int64)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "column": self.column, "kind": self.kind, "edges": list(self.edges),
            "codes": list(self.codes), "counts": list(self.counts), "missing": self.missing,
        }  # fmt: skip

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Bins:
        return cls(
            str(body["name"]), str(body["column"]), str(body["kind"]), tuple(map(float, body["edges"])),
            tuple(map(int, body["codes"])), tuple(map(int, body["counts"])), int(body["missing"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """Bins of a version: `features` of its `rows` training rows, `score` of its answers to held-out rows."""

    rows: int
    features: tuple[Bins, ...]
    score: tuple[Bins, ...]

    @cached_property
    def feature_table(self) -> Table:
        return Table(self.features)

    @cached_property
    def score_table(self) -> Table:
        return Table(self.score)

    @cached_property
    def outputs(self) -> list[int]:
        """Which outputs of the model `score` is about."""
        return [int(one.name) for one in self.score]

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "features": [bins.as_json() for bins in self.features],
            "score": [bins.as_json() for bins in self.score],
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Reference:
        features, score = ([Bins.from_json(one) for one in body[name]] for name in ("features", "score"))
        return cls(int(body["rows"]), tuple(features), tuple(score))


class Table:
    """The bins of several columns, laid out so that one pass of numpy counts a block of rows."""

    def __init__(self, bins: Sequence[Bins]) -> None:
        self.bins = tuple(bins)
        self.size = sum(one.size for one in bins)
        starts = np.cumsum([0, *(one.size for one in bins)], dtype=np.intp)
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        first = [int(start) for start in starts]
        numeric = [i for i, one in enumerate(bins) if not one.categorical]
        coded = [i for i, one in enumerate(bins) if one.categorical]
        self._last = starts[1:] - 1  # where each column counts its missing values
        self._numeric, self._coded = np.array(numeric, np.intp), np.array(coded, np.intp)
        self._edges = _padded([bins[i].edges for i in numeric], np.inf)
        self._codes = _padded([bins[i].codes for i in coded], np.nan)
        self._is_edge, self._is_code = np.isfinite(self._edges), np.isfinite(self._codes)
        self._edge_at = _places(self._is_edge, [first[i] for i in numeric])
        self._code_at = _places(self._is_code, [first[i] for i in coded])
        self._first, self._rest = starts[:-1][self._numeric], self._last[self._coded] - 1

    def count(self, x: NDArray[np.float32]) -> Counts:
        """int64[size]: how the values of x float32[n, d] fall, a column's counts after the other's."""
        out = np.zeros(self.size, np.int64)
        widest = max(1, len(self._edges), len(self._codes)) * max(1, x.shape[1])
        step = max(1, min(_AT_ONCE // widest, 0xFFFF))
        for at in range(0, len(x), step):
            self._add(out, x[at : at + step])
        return out

    def split(self, counts: Counts) -> list[Counts]:
        """Each column's own counts, in the order of the bins; that of missing values last."""
        return [counts[part] for part in self._parts]

    def _add(self, out: Counts, x: NDArray[np.float32]) -> None:
        missing = np.isnan(x).sum(axis=0)
        known = len(x) - missing
        out[self._last] += missing
        if len(self._numeric):
            # How many values of a column are at or above each of its edges; NaN is above none. What is
            # above an edge is taken from the bin below it and put into the one above.
            above = _tally(x[:, None, self._numeric] >= self._edges)[self._is_edge]
            out[self._first] += known[self._numeric]
            out[self._edge_at] -= above
            out[self._edge_at + 1] += above
        if len(self._coded):
            found = _tally(x[:, None, self._coded] == self._codes)
            out[self._code_at] += found[self._is_code]
            out[self._rest] += known[self._coded] - found.sum(axis=0)


def _places(there: NDArray[np.bool_], first: Sequence[int]) -> NDArray[np.intp]:
    """Where the count of each edge or code stands in the flat counts, in the order of `table[there]`."""
    rows, columns = np.nonzero(there)
    return rows + np.array(first, np.intp)[columns]


def _padded(values: Sequence[Sequence[float]], padding: float) -> NDArray[np.float32]:
    """float32[longest, columns]: one column each, filled up with what nothing falls in."""
    table = np.full((max(map(len, values), default=0), len(values)), padding, np.float32)
    for i, one in enumerate(values):
        table[: len(one), i] = one
    return table


def _tally(hits: NDArray[np.bool_]) -> Counts:
    """How many of the first axis are true; uint16 holds a block, and is three times as fast to add up."""
    total: NDArray[np.uint16] = np.add.reduce(hits.view(np.uint8), axis=0, dtype=np.uint16)
    return total.astype(np.int64)
