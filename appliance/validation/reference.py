"""The reference bins of a new version: what its live rows and answers will be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.bins import Bins, Reference, Table
from appliance.data.signature import Feature
from appliance.data.types import Kind

BINS = 15
MOST_CATEGORIES = 30
REST_SHARE = 0.005  # a category rarer than this is counted with the rest


def reference(x: NDArray[np.float32], features: Sequence[Feature], score: NDArray[Any]) -> Reference:
    """Bins of training rows x float32[n, d], and of answers score float[m, k]: one an output.

    The answers must be to rows that the model hasn't learnt from: it is surer of those it has, and live rows
    would seem to differ. Of a yes/no model only the second output counts, the first is its complement.
    """
    found = [
        _categories(f.name, f.column, x[:, i], f.cardinality)
        if f.kind is Kind.CATEGORICAL
        else _quantiles(f.name, f.column, f.kind.value, x[:, i])
        for i, f in enumerate(features)
    ]
    outputs = [1] if score.shape[1] == 2 else list(range(score.shape[1]))
    answers = score.astype(np.float32)[:, outputs]
    scores = [_quantiles(str(i), "", "number", answers[:, at]) for at, i in enumerate(outputs)]
    return Reference(len(x), _counted(found, x), _counted(scores, answers))


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
    return Bins(name, column, kind, edges, (), (0,) * (len(edges) + 1))


def _categories(name: str, column: str, values: NDArray[np.float32], cardinality: int) -> Bins:
    known = values[~np.isnan(values)].astype(np.int64)
    counts = np.bincount(known, minlength=cardinality + 1)[:cardinality]
    common = [int(c) for c in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
    codes = tuple(sorted(c for c in common if counts[c] > 0 and counts[c] >= REST_SHARE * len(values)))
    return Bins(name, column, Kind.CATEGORICAL.value, (), codes, (0,) * (len(codes) + 1))


def _counted(bins: Sequence[Bins], values: NDArray[np.float32]) -> tuple[Bins, ...]:
    """The same bins with the counts of values [n, columns] in them."""
    table = Table(bins)
    return tuple(
        replace(one, counts=tuple(int(c) for c in counts[:-1]), missing=int(counts[-1]))
        for one, counts in zip(bins, table.split(table.count(values)), strict=True)
    )
