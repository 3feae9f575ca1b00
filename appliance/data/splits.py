"""The hold-out: rows that the trainer never sees. Deterministic for a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def holdout(values: NDArray[Any], task: str, fraction: float = 0.2, seed: int = 0) -> NDArray[np.bool_]:
    """Mask of the held-out rows: bool[n], true = held out.

    `values` is the target, one per row, without missing values. For "regression" rows are drawn
    evenly at random; otherwise each class gives its share, and a class with two or more rows is
    on both sides. A class with one row stays with the trainer.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction must be between 0 and 1, got {fraction}")
    values = np.asarray(values)
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(values), dtype=np.bool_)
    if task == "regression":
        mask[rng.permutation(len(values))[: _share(len(values), fraction)]] = True
        return mask
    keys = values.astype(str) if values.dtype == object else values
    codes = np.unique(keys, return_inverse=True)[1].reshape(-1)
    shuffled = rng.permutation(len(values))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    for rows in np.split(by_class, np.cumsum(np.bincount(codes))[:-1]) if len(values) else []:
        mask[rows[: _share(len(rows), fraction)]] = True
    return mask


def _share(count: int, fraction: float) -> int:
    """How many of `count` rows are held out: at least one on each side when there are two."""
    return 0 if count <= 1 else min(max(round(count * fraction), 1), count - 1)
