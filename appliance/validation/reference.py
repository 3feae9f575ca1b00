"""How the training data is spread, as bins that later windows of live data are counted into.

Numbers: quantile bins plus one for missing. Categories: one bin a common category, one for the rest and the
never seen, one for missing. Windows are then plain sums of counts (DESIGN, "Drift needs no raw data").
A value x of a numeric feature falls in bin `searchsorted(edges, x, side="right")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature

BINS = 15
MOST_CATEGORIES = 30
REST_SHARE = 0.005  # a category rarer than this is counted with the rest


@dataclass(frozen=True)
class Bins:
    """One encoded feature, or the score.

    Numeric: `edges` (inner, ascending), len(edges) + 1 counts. Categorical: `codes`, a count each, then
    one for the rest. `missing` is counted apart.
    """

    name: str
    column: str
    kind: str
    edges: tuple[float, ...]
    codes: tuple[int, ...]
    counts: tuple[int, ...]
    missing: int

    def count(self, values: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
        """Counts of `values` [n] in these bins, and how many are missing."""
        known = values[~np.isnan(values)]
        absent = len(values) - len(known)
        if self.kind == "categorical":
            place = np.full(len(known), len(self.codes), np.int64)
            for index, code in enumerate(self.codes):
                place[known == code] = index
        else:
            # Edges are float32 values, so that training and serving bin alike.
            place = np.searchsorted(np.array(self.edges), known.astype(np.float64), side="right")
        return np.bincount(place, minlength=len(self.counts)).astype(np.int64), absent

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


def reference(x: NDArray[np.float32], features: Sequence[Feature], score: NDArray[Any]) -> dict[str, Any]:
    """Reference bins of training rows x float32[n, d] and of the predictions score float[n, k], as JSON.

    {"rows": n, "features": [Bins], "score": [Bins]}: one a feature, one an output (yes/no: the second only).
    """
    found = [
        _categories(f.name, f.column, x[:, i], f.cardinality)
        if f.kind == "categorical"
        else _quantiles(f.name, f.column, f.kind.value, x[:, i])
        for i, f in enumerate(features)
    ]
    outputs = [1] if score.shape[1] == 2 else list(range(score.shape[1]))
    scores = [_quantiles(str(i), "", "number", score[:, i].astype(np.float32)) for i in outputs]
    return {
        "rows": len(x),
        "features": [bins.as_json() for bins in found],
        "score": [bins.as_json() for bins in scores],
    }


def _quantiles(name: str, column: str, kind: str, values: NDArray[np.float32]) -> Bins:
    known = values[~np.isnan(values)]
    edges: tuple[float, ...] = ()
    if len(known):
        distinct = np.unique(known)
        if len(distinct) <= BINS:
            inner = distinct[1:]
        else:
            inner = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))
        edges = tuple(float(edge) for edge in inner)
    return _counted(Bins(name, column, kind, edges, (), (0,) * (len(edges) + 1), 0), values)


def _categories(name: str, column: str, values: NDArray[np.float32], cardinality: int) -> Bins:
    known = values[~np.isnan(values)].astype(np.int64)
    counts = np.bincount(known, minlength=cardinality + 1)[:cardinality]
    common = [int(c) for c in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
    codes = tuple(sorted(c for c in common if counts[c] > 0 and counts[c] >= REST_SHARE * len(values)))
    return _counted(Bins(name, column, "categorical", (), codes, (0,) * (len(codes) + 1), 0), values)


def _counted(bins: Bins, values: NDArray[np.float32]) -> Bins:
    counts, missing = bins.count(values)
    return Bins(
        bins.name, bins.column, bins.kind, bins.edges, bins.codes, tuple(int(c) for c in counts), missing
    )
