"""The pictures of a report as numbers: ROC, precision-recall, confusion, predicted against actual, residuals.

All thinned to what a plot needs; all JSON-able.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = 150
DOTS = 400
RESIDUAL_BINS = 25

Doubles = NDArray[np.float64]


def roc(y: NDArray[Any], score: Doubles) -> dict[str, list[float]]:
    """False-positive and true-positive rates from (0, 0) to (1, 1), thinned."""
    hits, misses = _counts(y, score)
    return _thin(
        {
            "false_positive": np.r_[0.0, misses / max(misses[-1], 1.0)],
            "true_positive": np.r_[0.0, hits / max(hits[-1], 1.0)],
        }
    )


def precision_recall(y: NDArray[Any], score: Doubles) -> dict[str, list[float]]:
    """Recall and precision, from the strictest threshold to the loosest, thinned."""
    hits, misses = _counts(y, score)
    return _thin({"recall": hits / max(hits[-1], 1.0), "precision": hits / (hits + misses)})


def confusion(y: NDArray[Any], predicted: NDArray[Any]) -> list[list[int]]:
    """Counts [actual][said], said being the most probable class."""
    k = predicted.shape[1]
    flat = y.astype(np.int64) * k + predicted.argmax(axis=1)
    return [[int(cell) for cell in row] for row in np.bincount(flat, minlength=k * k).reshape(k, k)]


def predicted_actual(y: Doubles, predicted: Doubles, seed: int = 0) -> dict[str, list[float]]:
    """At most DOTS rows drawn at random: what was said, and what it was."""
    index = np.random.default_rng(seed).permutation(len(y))[:DOTS]
    return {"predicted": predicted[index].tolist(), "actual": y[index].tolist()}


def residuals(y: Doubles, predicted: Doubles) -> dict[str, list[float]]:
    """Histogram of predicted minus actual; the outer per cent is counted in the outer bins."""
    error = predicted - y
    low, high = np.percentile(error, [0.5, 99.5])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(error, low, high), bins=RESIDUAL_BINS, range=(low, high))
    return {"edges": edges.tolist(), "counts": counts.astype(float).tolist()}


def _counts(y: NDArray[Any], score: Doubles) -> tuple[Doubles, Doubles]:
    """True and false positives at each distinct threshold, strictest first."""
    order = np.argsort(-score, kind="stable")
    ordered, positive = score[order], (y[order] == 1).astype(np.float64)
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    hits = np.cumsum(positive)[last]
    return hits, (last + 1.0) - hits


def _thin(columns: dict[str, Doubles]) -> dict[str, list[float]]:
    """At most POINTS points of a curve, evenly spaced along its length; the ends stay."""
    a, b = columns.values()
    if len(a) > POINTS:
        along = np.r_[0.0, np.cumsum(np.abs(np.diff(a)) + np.abs(np.diff(b)))]
        keep = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)).clip(0, len(a) - 1))
        keep = np.unique(np.r_[0, keep, len(a) - 1])
        columns = {name: values[keep] for name, values in columns.items()}
    return {name: [round(float(v), 6) for v in values] for name, values in columns.items()}
