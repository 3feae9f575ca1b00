"""Latency histograms: counts by fixed edges, and percentiles read off them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Seconds; a step is at most 1.7 times the one before, so a percentile is known about that well.
EDGES = (
    0.0001, 0.00015, 0.00025, 0.0004, 0.0006, 0.001, 0.0015, 0.0025, 0.004, 0.006, 0.01, 0.015, 0.025, 0.04,
    0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 1.5, 2.5, 4.0, 6.0, 10.0, 30.0,
)  # fmt: skip


def bucket(seconds: float) -> int:
    """Where a time is counted: the first edge that it does not pass; len(EDGES) for longer ones."""
    return bisect_left(EDGES, seconds)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Seconds that so large a share of the requests stayed below, linear within a bucket; None without any.

    Of what lies beyond the last edge, that edge is given.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, before = share * total, 0
    for place, count in enumerate(counts):
        if count and before + count >= wanted:
            if place == len(EDGES):
                return EDGES[-1]
            low = EDGES[place - 1] if place else 0.0
            return low + (EDGES[place] - low) * max(0.0, wanted - before) / count
        before += count
    return EDGES[-1]
