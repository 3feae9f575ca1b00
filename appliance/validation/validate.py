"""One call from held-out rows to everything the report and the gate need.

The hold-out is touched here and nowhere else. What other rooms measured (export parity, latency, the
champion's answers on the same rows) is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature
from appliance.validation import curves
from appliance.validation.baseline import baseline
from appliance.validation.bootstrap import Evaluation, evaluate
from appliance.validation.calibration import Calibration, calibration
from appliance.validation.gate import Evidence, Gate, Policy, gate
from appliance.validation.importance import Importance, importance
from appliance.validation.metrics import PRIMARY

CANDIDATE, BASELINE, CHAMPION = "candidate", "baseline", "champion"


@dataclass(frozen=True)
class Holdout:
    """Rows that training never saw. x float32[n, d]; y int64[n] codes of `labels`, or float64[n]."""

    task: str
    labels: tuple[str, ...]
    features: Sequence[Feature]
    x: NDArray[np.float32]
    y: NDArray[Any]
    y_train: NDArray[Any]  # the training targets, for the baseline

    def class_rows(self) -> dict[str, int]:
        """Rows by label; empty for numbers."""
        if self.task == "regression":
            return {}
        counts = np.bincount(self.y, minlength=len(self.labels))
        return {label: int(count) for label, count in zip(self.labels, counts, strict=True)}


@dataclass(frozen=True)
class Proofs:
    """What other rooms measured, in plain values.

    champion: predictions float[n, k] of the model in use on the same rows (None: not to be had fairly), its
    name, and why it was not compared or is not to be trusted. parity: the JSON of
    export.Parity. latency: one mapping a runtime with runtime, version, ok, p50_us, p99_us, why.
    """

    champion: NDArray[Any] | None = None
    champion_name: str = ""
    champion_note: str = ""
    parity: Mapping[str, Any] | None = None
    latency: Sequence[Mapping[str, Any]] = ()
    pinned: str = ""  # the runtime that must be used; "" for the fastest


NO_PROOFS = Proofs()
DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Validation:
    """Everything found on the hold-out."""

    task: str
    labels: tuple[str, ...]
    class_rows: dict[str, int]
    evaluation: Evaluation
    gate: Gate
    policy: Policy
    calibration: Calibration | None
    importance: list[Importance]
    plots: dict[str, Any]
    proofs: Proofs = field(default_factory=Proofs)


def validate(
    holdout: Holdout,
    predict: Callable[[NDArray[np.float32]], NDArray[Any]],
    proofs: Proofs = NO_PROOFS,
    policy: Policy = DEFAULT_POLICY,
    *,
    seed: int = 0,
    importance_seconds: float = 10.0,
) -> Validation:
    """Measure `predict` (float32[n, d] -> float[n, k]) on the hold-out and hold it to the policy."""
    task, y = holdout.task, holdout.y
    said = np.asarray(predict(holdout.x), np.float64)
    models = {CANDIDATE: said, BASELINE: baseline(task, holdout.y_train, max(1, len(holdout.labels)), len(y))}
    if proofs.champion is not None:
        models[CHAMPION] = proofs.champion
    evaluation = evaluate(task, y, models, seed=seed)
    return Validation(
        task=task,
        labels=holdout.labels,
        class_rows=holdout.class_rows(),
        evaluation=evaluation,
        gate=gate(policy, evidence(holdout, evaluation, proofs)),
        policy=policy,
        calibration=None if task == "regression" else calibration(y, said),
        importance=importance(
            predict, holdout.x, y, holdout.features, task, seed=seed, budget_seconds=importance_seconds
        ),
        plots=_plots(task, y, said, seed),
        proofs=proofs,
    )


def evidence(holdout: Holdout, evaluation: Evaluation, proofs: Proofs) -> Evidence:
    """What the gate looks at."""
    metric = PRIMARY[holdout.task]
    better = evaluation.improvements
    parity = proofs.parity or {}
    usable = [one for one in proofs.latency if one["ok"] and proofs.pinned in ("", one["runtime"])]
    fastest = min(usable, key=lambda one: float(one["p50_us"]), default=None)
    worst = parity.get("max_abs" if holdout.task != "regression" else "max_rel")
    return Evidence(
        task=holdout.task,
        metric=metric,
        rows=evaluation.rows,
        value=evaluation.models[CANDIDATE][metric],
        over_baseline=better[BASELINE][metric],
        over_champion=better[CHAMPION][metric] if CHAMPION in better else None,
        champion=proofs.champion_name,
        champion_note=proofs.champion_note,
        class_rows=holdout.class_rows() if holdout.task == "binary" else None,
        r2=evaluation.models[CANDIDATE].get("r2"),
        parity_ok=None if proofs.parity is None else bool(parity["ok"]),
        parity_max=float("nan") if worst is None else float(worst),
        parity_rows=int(parity.get("rows", 0)),
        latency_us=None if fastest is None else float(fastest["p50_us"]),
        runtime="" if fastest is None else str(fastest["runtime"]),
    )


def _plots(task: str, y: NDArray[Any], said: NDArray[np.float64], seed: int) -> dict[str, Any]:
    if task == "regression":
        return {
            "predicted_actual": curves.predicted_actual(y, said[:, 0], seed),
            "residuals": curves.residuals(y, said[:, 0]),
        }
    found: dict[str, Any] = {"confusion": curves.confusion(y, said)}
    if task == "binary":
        found["roc"] = curves.roc(y, said[:, 1])
        found["precision_recall"] = curves.precision_recall(y, said[:, 1])
    return found
