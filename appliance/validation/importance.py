"""Which columns the model leans on: how much worse it gets when a column's values are shuffled.

Permutation importance (Breiman, Machine Learning 45, 2001) by original column: all its encoded features are
shuffled together. Bounded in rows and in time; columns take turns, so that each has as many repeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature
from appliance.validation.metrics import HIGHER_IS_BETTER, PRIMARY, primary

ROWS = 2000
REPEATS = 5


@dataclass(frozen=True)
class Importance:
    """`drop`: how much the primary metric gets worse; `error`: its standard error (NaN after one repeat)."""

    column: str
    drop: float
    error: float


def importance(
    predict: Callable[[NDArray[np.float32]], NDArray[Any]],
    x: NDArray[np.float32],
    y: NDArray[Any],
    features: Sequence[Feature],
    task: str,
    *,
    seed: int = 0,
    budget_seconds: float = 10.0,
) -> list[Importance]:
    """Importance of each column on held-out rows x float32[n, d], y [n]; largest first.

    At most ROWS rows. After `budget_seconds` no column gets another turn; columns that had none are left out.
    """
    end = time.monotonic() + budget_seconds
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))[:ROWS]
    x, y = np.ascontiguousarray(x[rows], np.float32), y[rows]
    sign = 1.0 if HIGHER_IS_BETTER[PRIMARY[task]] else -1.0
    whole = primary(task, y, predict(x))
    groups: dict[str, list[int]] = {}
    for index, feature in enumerate(features):
        groups.setdefault(feature.column, []).append(index)
    drops: dict[str, list[float]] = {column: [] for column in groups}
    for _ in range(REPEATS):
        for column, members in groups.items():
            if time.monotonic() > end:
                break
            shuffled = x.copy()
            shuffled[:, members] = x[rng.permutation(len(x))][:, members]
            drops[column].append(sign * (whole - primary(task, y, predict(shuffled))))
    found = [
        Importance(column, float(np.mean(turns)), _standard_error(turns))
        for column, turns in drops.items()
        if turns
    ]
    return sorted(found, key=lambda one: -one.drop)


def _standard_error(turns: list[float]) -> float:
    return float(np.std(turns, ddof=1) / np.sqrt(len(turns))) if len(turns) > 1 else float("nan")
