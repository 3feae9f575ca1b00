"""Calibration: when the model says 70 %, does it happen 70 times in 100?

Expected calibration error over bins of equal size (Naeini et al., AAAI 2015, with equal-mass bins), and the
reliability curve with Wilson intervals. Yes/no: the probability of the second class; several classes: the
probability of the class the model names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
Z = 1.959964  # 95 %


@dataclass(frozen=True)
class Bin:
    """Rows with alike predictions: how many, mean predicted, share that came true with its interval."""

    rows: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """`ece`: mean gap between said and seen, weighted by rows (0 is perfect)."""

    ece: float
    bins: tuple[Bin, ...]


def calibration(y: NDArray[Any], predicted: NDArray[Any], bins: int = BINS) -> Calibration:
    """Calibration of probabilities float[n, k] against codes int[n]. At most `bins` bins, ties together."""
    if predicted.shape[1] == 2:
        said, came = predicted[:, 1].astype(np.float64), (y == 1).astype(np.float64)
    else:
        said = predicted.max(axis=1).astype(np.float64)
        came = (predicted.argmax(axis=1) == y).astype(np.float64)
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, said, side="right")
    found = [_bin(said[place == b], came[place == b]) for b in range(len(edges) + 1) if (place == b).any()]
    ece = sum(one.rows * abs(one.predicted - one.observed) for one in found) / len(y)
    return Calibration(float(ece), tuple(found))


def _bin(said: NDArray[np.float64], came: NDArray[np.float64]) -> Bin:
    low, high = wilson(float(came.sum()), len(came))
    return Bin(len(came), float(said.mean()), float(came.mean()), low, high)


def wilson(successes: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 1927)."""
    share = successes / rows
    middle = (share + Z * Z / (2 * rows)) / (1 + Z * Z / rows)
    half = Z * np.sqrt(share * (1 - share) / rows + Z * Z / (4 * rows * rows)) / (1 + Z * Z / rows)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
