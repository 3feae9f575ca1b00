"""Metrics as functions of row weights, so that one formula gives the value and a thousand resamples.

`statistics(task, y, predicted)` prepares one model's answers; `.weighted(w)` gives every metric for each
row of weights w[b, n]. All ones is the plain metric; bootstrap counts are its resamples. Values agree with
sklearn.metrics under sample_weight. A metric that cannot be had (one class only) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Weighted = Callable[[Doubles], dict[str, Doubles]]

PRIMARY = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
HIGHER_IS_BETTER = {
    "auc": True, "accuracy": True, "f1": True, "r2": True,
    "logloss": False, "brier": False, "rmse": False, "mae": False,
}  # fmt: skip
MOST_CLASSES_WITH_AUC = 20  # one sort a class: more are slow, and nobody reads the mean
TINY = 1e-15


def statistics(task: str, y: NDArray[Any], predicted: NDArray[Any]) -> Weighted:
    """Weighted metrics of one model's answers. y int64[n] codes or float64[n]; predicted float[n, k]."""
    if predicted.ndim != 2 or len(predicted) != len(y) or len(y) == 0:
        raise ValueError(f"predicted is {predicted.shape}, y {y.shape}")
    predicted = predicted.astype(np.float64)
    if task == "regression":
        return _regression(y.astype(np.float64), predicted[:, 0])
    if task not in PRIMARY:
        raise ValueError(f"unknown task {task!r}")
    return _classes(y.astype(np.int64), predicted)


def values(task: str, y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Every metric of `task`, as it is on these rows."""
    weighted = statistics(task, y, predicted)(np.ones((1, len(y))))
    return {name: float(value[0]) for name, value in weighted.items()}


def primary(task: str, y: NDArray[Any], predicted: NDArray[Any]) -> float:
    """The metric that decides: AUC, accuracy or RMSE."""
    return values(task, y, predicted)[PRIMARY[task]]


def _classes(y: NDArray[np.int64], predicted: Doubles) -> Weighted:
    n, k = predicted.shape
    truth = np.zeros((n, k))
    truth[np.arange(n), y] = 1.0
    said = np.zeros((n, k))
    said[np.arange(n), predicted.argmax(axis=1)] = 1.0
    right = (truth * said).sum(axis=1)
    squared = ((predicted - truth) ** 2).sum(axis=1) * (0.5 if k == 2 else 1.0)
    surprise = -np.log(np.clip(predicted[np.arange(n), y], TINY, 1.0))
    means = np.stack([right, surprise, squared], axis=1)
    aucs = [_auc(truth[:, c], predicted[:, c]) for c in _auc_classes(k)]

    def weighted(w: Doubles) -> dict[str, Doubles]:
        averages = (w @ means) / w.sum(axis=1, keepdims=True)
        hits, told, actual = w @ (truth * said), w @ said, w @ truth
        both = told + actual
        f1 = np.divide(2.0 * hits, both, out=np.zeros_like(hits), where=both > 0)
        if k == 2:
            score = f1[:, 1]
        else:  # macro: over the classes that occur or were named, as scikit-learn does
            there = both > 0
            score = f1.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        found = {} if not aucs else {"auc": _mean([auc(w) for auc in aucs])}
        return found | {
            "accuracy": averages[:, 0], "f1": score, "logloss": averages[:, 1], "brier": averages[:, 2],
        }  # fmt: skip

    return weighted


def _auc_classes(k: int) -> list[int]:
    if k == 2:
        return [1]
    return list(range(k)) if k <= MOST_CLASSES_WITH_AUC else []


def _mean(columns: list[Doubles]) -> Doubles:
    """Mean over classes that occur; NaN where none does."""
    table = np.stack(columns)
    there = ~np.isnan(table)
    count = there.sum(axis=0)
    total = np.where(there, table, 0.0).sum(axis=0)
    mean: Doubles = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


def _auc(truth: Doubles, score: Doubles) -> Callable[[Doubles], Doubles]:
    """Weighted area under the ROC curve, ties counted half (Mann-Whitney); sorted once."""
    order = np.argsort(score, kind="stable")
    ordered, truth = score[order], truth[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def weighted(w: Doubles) -> Doubles:
        w = w[:, order]
        positive = np.add.reduceat(w * truth, starts, axis=1)
        negative = np.add.reduceat(w, starts, axis=1) - positive
        below = np.cumsum(negative, axis=1) - 0.5 * negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        wins = np.einsum("ij,ij->i", positive, below)
        area: Doubles = np.divide(wins, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
        return area

    return weighted


def _regression(y: Doubles, predicted: Doubles) -> Weighted:
    # Centred first: r2 from sums of squares of large numbers would lose its digits.
    centred, error = y - y.mean(), predicted - y
    means = np.stack([error**2, np.abs(error), centred, centred**2], axis=1)

    def weighted(w: Doubles) -> dict[str, Doubles]:
        squared, absolute, mean, second = ((w @ means) / w.sum(axis=1, keepdims=True)).T
        spread = second - mean**2
        flat = spread <= 1e-12 * np.maximum(second, 1e-300)
        r2 = 1.0 - np.divide(squared, spread, out=np.full(len(w), np.nan), where=~flat)
        return {"rmse": np.sqrt(squared), "mae": absolute, "r2": r2}

    return weighted
