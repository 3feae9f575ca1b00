"""Bootstrap intervals: how much a figure would move with other hold-out rows of the same kind.

Percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13), seeded, 95 %.
All models are measured on the same resamples, so differences between them are paired: what is hard for
both cancels out. Vectorised over blocks of resamples, memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.validation.metrics import HIGHER_IS_BETTER, Doubles, statistics

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
MOST_CELLS = 20_000_000  # rows x resamples; more rows get fewer resamples, whose intervals are narrow anyway
BLOCK_CELLS = 1_000_000
TAIL = 2.5  # per cent on either side


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; all NaN when it cannot be had."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float | None]:
        """JSON, with null where there is no number."""
        figures = {"value": self.value, "low": self.low, "high": self.high}
        return {name: figure if np.isfinite(figure) else None for name, figure in figures.items()}


@dataclass(frozen=True)
class Evaluation:
    """Every metric of every model, and how much better the first model is than each other one.

    `improvements[other][metric]` is positive where the first model is better, whichever way the metric runs.
    """

    models: dict[str, dict[str, Interval]]
    improvements: dict[str, dict[str, Interval]]
    rows: int
    resamples: int


def evaluate(
    task: str,
    y: NDArray[Any],
    predictions: Mapping[str, NDArray[Any]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Measure models on the same rows. y [n]; predictions: name -> float[n, k], the candidate first."""
    n = len(y)
    resamples = int(np.clip(MOST_CELLS // max(n, 1), min(FEWEST_RESAMPLES, resamples), resamples))
    measured = {name: statistics(task, y, predicted) for name, predicted in predictions.items()}
    exact = {name: weighted(np.ones((1, n))) for name, weighted in measured.items()}
    drawn: dict[str, list[dict[str, Doubles]]] = {name: [] for name in measured}
    for counts in resample_counts(n, resamples, seed):
        for name, weighted in measured.items():
            drawn[name].append(weighted(counts))
    spread = {
        name: {metric: np.concatenate([block[metric] for block in blocks]) for metric in exact[name]}
        for name, blocks in drawn.items()
    }
    first, *others = predictions
    return Evaluation(
        models={
            name: {
                metric: _interval(float(value[0]), spread[name][metric]) for metric, value in found.items()
            }
            for name, found in exact.items()
        },
        improvements={
            other: {
                metric: _interval(
                    _better(metric, float(exact[first][metric][0]), float(exact[other][metric][0])),
                    _better(metric, spread[first][metric], spread[other][metric]),
                )
                for metric in exact[first]
            }
            for other in others
        },
        rows=n,
        resamples=resamples,
    )


def resample_counts(n: int, resamples: int, seed: int) -> Iterator[Doubles]:
    """How often each of n rows is drawn in each resample: blocks float64[b, n], each row summing to n."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        index = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(index.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def _better(metric: str, ours: Any, theirs: Any) -> Any:
    return ours - theirs if HIGHER_IS_BETTER[metric] else theirs - ours


def _interval(value: float, draws: Doubles) -> Interval:
    known = draws[np.isfinite(draws)]
    if len(known) < max(2, len(draws) // 2) or not np.isfinite(value):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(known, [TAIL, 100.0 - TAIL])
    return Interval(value, float(low), float(high))
