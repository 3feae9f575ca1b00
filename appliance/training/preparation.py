"""Numbers made fit for linear models and networks: nothing missing, one column a category, one scale.

Fitted with plain numpy on the training rows only. Every step is float32 arithmetic that an exported
graph repeats operator by operator (IsNaN, Where, Min, Max, Sub, Div, Equal), so graph and training
agree to the last bits. A category never seen in training sets none of its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

WIDEST = np.float32(8.0)  # standard deviations; beyond is drawn in, so that one wild value cannot rule
LARGEST = np.float32(1e30)  # so that no product overflows


@dataclass(frozen=True)
class Preparation:
    """How float32[n, d] becomes float32[n, width], without missing values.

    Output order: the scaled `numeric` columns; a 0/1 column for each of `gaps` (was it missing?); a 0/1
    column for each pair of `slot_columns` and `slot_codes` (is the category this code?); a 0/1 column
    for each of `blanks` (is the category missing?). All indices are columns of the input.
    """

    numeric: Indices
    median: Floats
    mean: Floats
    reach: Floats  # how far from the mean a value may be; what lies beyond is drawn in
    scale: Floats
    gaps: Indices
    slot_columns: Indices
    slot_codes: Floats
    blanks: Indices

    @property
    def width(self) -> int:
        return len(self.numeric) + len(self.gaps) + len(self.slot_columns) + len(self.blanks)

    def transform(self, x: Floats) -> Floats:
        """Prepared rows: float32[n, width] from float32[n, d]. Never changes `x`."""
        raw = x[:, self.numeric]
        filled = np.where(np.isnan(raw), self.median, raw)
        # Limits come between Sub and Div: OpenVINO would fuse the two into x * a + b, which loses every digit
        # of a column like the year, whose mean is large and whose spread is small.
        with np.errstate(over="ignore"):
            centred = filled - self.mean
        scaled = np.minimum(np.maximum(centred, -self.reach), self.reach) / self.scale
        parts: list[NDArray[Any]] = [
            scaled,
            np.isnan(x[:, self.gaps]),
            np.equal(x[:, self.slot_columns], self.slot_codes),
            np.isnan(x[:, self.blanks]),
        ]
        return np.concatenate([part.astype(np.float32) for part in parts], axis=1)


def fit_preparation(x: Floats, features: Sequence[Feature]) -> Preparation:
    """The Preparation of training rows float32[n, d] with `features` (d of them)."""
    if x.shape[1] != len(features):
        raise ValueError(f"{x.shape[1]} columns, but {len(features)} features")
    categorical = [i for i, feature in enumerate(features) if feature.kind == "categorical"]
    missing: NDArray[Any] = np.asarray(np.isnan(x).any(axis=0))
    numeric = np.array([i for i, f in enumerate(features) if f.kind != "categorical"], np.int64)
    columns = [_column_scale(x[:, i]) for i in numeric]
    median, mean, scale = np.array(columns, np.float32).reshape(len(columns), 3).T
    slots = [(i, code) for i in categorical for code in np.unique(x[:, i][~np.isnan(x[:, i])])]
    return Preparation(
        numeric=numeric,
        median=median,
        mean=mean,
        reach=WIDEST * scale,
        scale=scale,
        gaps=np.array([i for i in numeric if missing[i]], np.int64),
        slot_columns=np.array([i for i, _ in slots], np.int64),
        slot_codes=np.array([code for _, code in slots], np.float32),
        blanks=np.array([i for i in categorical if missing[i]], np.int64),
    )


def _column_scale(column: Floats) -> tuple[float, float, float]:
    """Median, mean and scale of one numeric column."""
    values = column[np.isfinite(column)].astype(np.float64)
    if not len(values):
        return 0.0, 0.0, 1.0
    mean = np.float32(values.mean())
    scale = np.float32(values.std())
    # A constant column, or one whose spread is below what float32 can tell apart at its size.
    if not scale > np.abs(mean) * np.float32(1e-6) or not np.isfinite(scale):
        scale = np.float32(max(1.0, abs(float(mean))))
    return float(np.median(values)), float(mean), float(np.minimum(scale, LARGEST))
