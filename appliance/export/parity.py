"""Proof that a graph answers as the fitted model does, on held-out rows and on rows made to be difficult.

Held-out rows alone miss what breaks exports: missing values where training saw none, categories never
seen, extremes, values one float beside a threshold. Every candidate passes both before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature
from appliance.runtimes import open_runtime

TOLERANCE = 1e-5
MOST_ROWS = 4000  # of the hold-out
EXTREMES = (0.0, -0.0, 1.0, -1.0, 1e-38, -1e-38, 1e6, -1e6, 1e30, -1e30, 3.4028235e38, -3.4028235e38)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How far a graph is from the fitted model.

    max_abs: largest absolute difference. max_rel: the same over max(|expected|, spread of the expected
    values), for amounts. flips: rows whose most probable class changes by more than a tie. rows: compared.
    """

    max_abs: float
    max_rel: float
    flips: int
    ok: bool
    rows: int
    tolerance: float = TOLERANCE
    runtime: str = ""

    def as_json(self) -> dict[str, Any]:
        """JSON; an infinite difference (a NaN where a number belongs, a wrong shape) is null."""
        finite = {"max_abs": self.max_abs, "max_rel": self.max_rel}
        return {
            **{name: value if np.isfinite(value) else None for name, value in finite.items()},
            "flips": self.flips, "ok": self.ok, "rows": self.rows,
            "tolerance": self.tolerance, "runtime": self.runtime,
        }  # fmt: skip


def check(
    expected: NDArray[Any], got: NDArray[Any], tolerance: float = TOLERANCE, runtime: str = ""
) -> Parity:
    """Compare [n, k] answers: probabilities by absolute difference (k > 1), amounts (k = 1) by relative."""
    rows = len(expected)
    broken = Parity(float("inf"), float("inf"), rows, False, rows, tolerance, runtime)
    if expected.shape != got.shape or not np.isfinite(got).all():
        return broken
    if rows == 0:
        return Parity(0.0, 0.0, 0, True, 0, tolerance, runtime)
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    gap = np.abs(wanted - found)
    spread = max(float(wanted.std()), 1e-30)
    max_abs, max_rel = float(gap.max()), float((gap / np.maximum(np.abs(wanted), spread)).max())
    flips = 0
    if wanted.shape[1] > 1:
        two = np.sort(wanted, axis=1)[:, -2:]
        clear = two[:, 1] - two[:, 0] > tolerance
        flips = int((clear & (wanted.argmax(axis=1) != found.argmax(axis=1))).sum())
    ok = flips == 0 and (max_abs if wanted.shape[1] > 1 else max_rel) <= tolerance
    return Parity(max_abs, max_rel, flips, bool(ok), rows, tolerance, runtime)


def synthetic_rows(x: Floats, features: Sequence[Feature], seed: int = 0, rows: int = 600) -> Floats:
    """Difficult rows made from real ones `x` float32[n >= 1, d]: float32[about rows, d], same for a seed."""
    rng = np.random.default_rng(seed)
    base = x[rng.integers(0, len(x), rows)].copy()
    categorical = np.array([feature.kind == "categorical" for feature in features])
    unseen = np.array([feature.cardinality for feature in features], np.float32)
    numbers = np.broadcast_to(~categorical, base.shape)
    # Six kinds of trouble, a band of rows each, in some of the cells or in all.
    density = rng.choice(np.array([0.1, 0.5, 1.0]), rows)[:, None]
    hit = rng.random(base.shape) < density
    band = np.arange(rows) * 6 // max(rows, 1)
    extremes = rng.choice(np.array(EXTREMES, np.float32), base.shape)
    beside = np.where(rng.random(base.shape) < 0.5, np.float32(np.inf), np.float32(-np.inf))
    with np.errstate(over="ignore"):
        shifted = np.nextafter(base, beside)
    trouble = [
        np.full_like(base, np.nan),
        np.where(categorical, unseen, base),
        np.where(numbers, extremes, base),
        np.where(numbers & np.isfinite(shifted), shifted, base),
        rng.permuted(base, axis=0),  # cells of other rows: combinations never seen
        np.where(categorical, np.where(rng.random(base.shape) < 0.5, unseen, np.float32(np.nan)), extremes),
    ]
    for number, values in enumerate(trouble):
        mine = hit & (band == number)[:, None]
        base[mine] = values[mine]
    bare = np.stack([np.full(len(features), np.nan, np.float32), np.where(categorical, unseen, 0.0)])
    return np.ascontiguousarray(np.concatenate([base, bare]), np.float32)


def prove(
    graph: bytes,
    predict: Callable[[Floats], NDArray[Any]],
    x: Floats,
    features: Sequence[Feature],
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    runtime: str = "onnxruntime",
) -> Parity:
    """Run `graph` in `runtime` on held-out rows `x` and on synthetic ones, against the fitted `predict`.

    Raises runtimes.CannotLoad when the runtime refuses the graph.
    """
    rows = (
        x if len(x) <= MOST_ROWS else x[np.random.default_rng(seed).choice(len(x), MOST_ROWS, replace=False)]
    )
    rows = np.ascontiguousarray(np.concatenate([rows, synthetic_rows(x, features, seed)]), np.float32)
    session = open_runtime(runtime).load(graph)
    try:
        return check(predict(rows), session.run(rows), tolerance, runtime)
    finally:
        session.close()
