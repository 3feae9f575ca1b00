"""Linear models: logistic regression for classes, ridge for numbers, on prepared rows.

On small tables this is often the best there is (reference/monitoring.md, section 5), and always the one
that is easiest to explain. The strength of the penalty is chosen on the validation part from a short list.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from appliance.training.fitted import Fitted, Layers, Plan, Rows, loss, standard
from appliance.training.preparation import Preparation, fit_preparation
from appliance.training.tasks import Task

STRENGTHS = (1.0, 10.0, 100.0)  # L2 penalty; logistic regression's C is its inverse
MOST_CELLS = 50_000_000  # rows x prepared columns kept in memory; beyond, a random part of the rows is used
MOST_STEPS = 300
ABSENT = -30.0  # log-odds of a class that the training rows do not hold


class Linear:
    name = "linear"

    def fit(self, rows: Rows, valid: Rows | None, plan: Plan, settings: dict[str, Any]) -> Fitted:
        began = time.monotonic()
        preparation = fit_preparation(rows.x, plan.features)
        rows = sample(rows, preparation.width, plan.seed)
        prepared = preparation.transform(rows.x).astype(np.float64)
        strengths = (float(settings["strength"]),) if "strength" in settings else STRENGTHS
        tried: dict[float, float] = {}
        best: tuple[float, float, Layers] | None = None
        with threadpool_limits(plan.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # MOST_STEPS is a choice, not an accident
            for index, strength in enumerate(strengths):
                if best is not None and time.monotonic() > plan.deadline:
                    break
                layers = _solve(prepared, rows.y, strength, preparation, plan)
                tried[strength] = 0.0 if valid is None else loss(layers.predict(valid.x), valid.y, plan.task)
                if best is None or tried[strength] < best[0]:
                    best = (tried[strength], strength, layers)
                plan.progress((index + 1) / len(strengths))
        assert best is not None
        _, chosen, layers = best
        return Fitted(
            algorithm=self.name,
            params={"penalty": "l2", "strength": chosen, "inputs": preparation.width},
            estimator=layers,
            predict=layers.predict,
            seconds=time.monotonic() - began,
            settings={"strength": chosen},
            details={"rows": len(rows), "losses": {str(k): v for k, v in tried.items()} if valid else {}},
        )


def sample(rows: Rows, width: int, seed: int) -> Rows:
    """At most MOST_CELLS / width rows, drawn at random, so that memory stays bounded."""
    most = max(1000, MOST_CELLS // max(width, 1))
    if len(rows) <= most:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False)))


def _solve(
    prepared: NDArray[np.float64], y: NDArray[Any], strength: float, preparation: Preparation, plan: Plan
) -> Layers:
    mean, scale = standard(y, plan.task)
    if plan.task is Task.REGRESSION:
        ridge = Ridge(alpha=strength).fit(prepared, (y - mean) / scale)
        weight, bias = ridge.coef_.reshape(-1, 1), np.atleast_1d(ridge.intercept_)
        return _layers(preparation, weight, bias, "identity", mean, scale)
    model = LogisticRegression(C=1.0 / strength, max_iter=MOST_STEPS).fit(prepared, y)
    if plan.task is Task.BINARY:
        return _layers(preparation, model.coef_.T, model.intercept_, "sigmoid")
    weight = np.zeros((preparation.width, plan.classes))
    bias = np.full(plan.classes, ABSENT)
    if len(model.classes_) == 2:  # only two of the classes are present: one column says it for both
        weight[:, model.classes_[1]] = model.coef_[0]
        bias[model.classes_] = 0.0, model.intercept_[0]
    else:
        weight[:, model.classes_] = model.coef_.T
        bias[model.classes_] = model.intercept_
    return _layers(preparation, weight, bias, "softmax")


def _layers(
    preparation: Preparation,
    weight: NDArray[Any],
    bias: NDArray[Any],
    output: str,
    mean: float = 0.0,
    scale: float = 1.0,
) -> Layers:
    weights, biases = (weight.astype(np.float32),), (bias.astype(np.float32),)
    return Layers(preparation, weights, biases, output, mean, scale)
