"""Does a window of live rows look like the training data? Pure: counts in, a finding out.

Two samples of counts are compared, the reference being a sample too. A feature has drifted when the change
is both sure (p, after Holm's correction over all features of the model) and large (population stability
index above a floor), so that neither chance nor a trifle in a large window raises an alarm.

Sources: chi-square test of homogeneity (Pearson 1900), two-sample Kolmogorov-Smirnov (Smirnov 1948), PSI and
its distribution under no change (Yurdakul 2018), step-down correction (Holm 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov

from appliance.data.bins import Bins, Counts, Reference
from appliance.data.types import Kind
from appliance.db import Row
from appliance.monitoring.windows import Verdict

LEAST = 200  # live rows below which nothing is judged
_FEW = 5.0  # expected count below which the chi-square approximation is poor: such bins are put together
_SMOOTHING = 0.5  # added to every count for PSI, which an empty bin would make infinite
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """What was found of one feature (or of one output, by its number).

    `score` is the PSI beyond what chance gives (0.1 is a small, 0.25 a large change); `p` the chance of so
    large a difference without any change, corrected for how many features were looked at.
    """

    name: str
    score: float
    p: float
    drifted: bool

    def as_json(self) -> Row:
        return {
            "name": self.name,
            "score": round(self.score, 4),
            "p": float(f"{self.p:.3g}"),
            "drifted": self.drifted,
        }


@dataclass(frozen=True)
class Finding:
    """`features` and `answers`, the most changed first. `calibrated`: whether the p-values are known to
    hold for this model's own ups and downs; without weeks of history they only hold for independent rows.
    """

    verdict: Verdict
    features: tuple[Feature, ...] = ()
    answers: tuple[Feature, ...] = ()
    calibrated: bool = False

    @property
    def drifted(self) -> list[str]:
        """Names of the features that have drifted, the most changed first."""
        return [feature.name for feature in self.features if feature.drifted]

    def as_json(self) -> Row:
        return {
            "verdict": self.verdict.value,
            "calibrated": self.calibrated,
            "features": [feature.as_json() for feature in self.features],
            "answers": [feature.as_json() for feature in self.answers],
        }


def judge(reference: Reference, features: Counts, score: Counts, *, p: float, psi: float) -> Finding:
    """Compare a window with the reference; counts as `reference.feature_table` and `score_table` lay them.

    `p` is the chance of a false alarm in the whole comparison, `psi` the smallest change that counts.
    """
    bins = [*reference.features, *reference.score]
    counts = [*reference.feature_table.split(features), *reference.score_table.split(score)]
    raw = [p_value(one, live) for one, live in zip(bins, counts, strict=True)]
    found = [
        Feature(one.name, size, corrected, corrected < p and size >= psi)
        for one, size, corrected in zip(
            bins,
            (stability(one.all_counts, live) for one, live in zip(bins, counts, strict=True)),
            holm(raw),
            strict=True,
        )
    ]
    many = len(reference.features)
    drifted = any(feature.drifted for feature in found)
    return Finding(
        Verdict.DRIFTED if drifted else Verdict.STABLE, _ranked(found[:many]), _ranked(found[many:])
    )


def stability(reference: Counts, live: Counts) -> float:
    """Population stability index of two samples of counts, less what chance alone gives on average.

    Without a change it is about (1/n + 1/m) times a chi-square of (bins - 1) degrees of freedom.
    """
    n, m = reference.sum(), live.sum()
    used = (reference > 0) | (live > 0)
    bins = int(used.sum())
    if not n or not m or bins < 2:
        return 0.0
    expected = (reference[used] + _SMOOTHING) / (n + _SMOOTHING * bins)
    found = (live[used] + _SMOOTHING) / (m + _SMOOTHING * bins)
    index = float(((found - expected) * np.log(found / expected)).sum())
    return max(0.0, index - (bins - 1) * float(1 / n + 1 / m))


def p_value(bins: Bins, live: Counts) -> float:
    """The chance of so different a window without any change.

    Categories: chi-square over all bins. Numbers: that and Kolmogorov-Smirnov on the known values, which
    sees small shifts; the smaller of the two, doubled.
    """
    reference = bins.all_counts
    square = chi_square(reference, live)
    if bins.kind in (Kind.CATEGORICAL, Kind.BOOLEAN) or len(bins.counts) < 3:
        return square
    return min(1.0, 2 * min(square, smirnov(reference[:-1], live[:-1])))


def chi_square(reference: Counts, live: Counts) -> float:
    """p of the test of homogeneity of two samples; bins too rare for it are put together."""
    n, m = float(reference.sum()), float(live.sum())
    if not n or not m:
        return 1.0
    both = reference + live
    rare = both * min(n, m) / (n + m) < _FEW
    a, b = (np.append(one[~rare], one[rare].sum()).astype(np.float64) for one in (reference, live))
    used = (a + b) > 0
    a, b = a[used], b[used]
    if len(a) < 2:
        return 1.0
    share = (a + b) / (n + m)
    statistic = ((a - n * share) ** 2 / (n * share)).sum() + ((b - m * share) ** 2 / (m * share)).sum()
    return float(chdtrc(len(a) - 1, statistic))


def smirnov(reference: Counts, live: Counts) -> float:
    """p of the two-sample test at the edges of the bins; what happens inside of one bin it can't see."""
    n, m = float(reference.sum()), float(live.sum())
    if not n or not m:
        return 1.0
    distance = float(np.abs(np.cumsum(reference) / n - np.cumsum(live) / m).max())
    return float(kolmogorov(math.sqrt(n * m / (n + m)) * distance))


def holm(raw: Sequence[float]) -> list[float]:
    """Corrected p-values in the order given: with them, the chance of any false alarm is that of one test."""
    order = np.argsort(raw, kind="stable")
    factors = np.arange(len(raw), 0, -1)
    rising: _Floats = np.minimum(1.0, np.maximum.accumulate(np.asarray(raw, np.float64)[order] * factors))
    corrected = np.empty(len(raw))
    corrected[order] = rising
    return [float(one) for one in corrected]


def _ranked(features: Sequence[Feature]) -> tuple[Feature, ...]:
    return tuple(sorted(features, key=lambda one: (not one.drifted, -one.score)))
