"""A small neural network (scikit-learn's multi-layer perceptron) on prepared rows.

Trained epoch by epoch with early stopping of our own, on our validation part: scikit-learn's would set
aside rows by itself and could not be stopped in time. The best epoch's weights are kept.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from appliance.training.fitted import Fitted, Layers, Plan, Rows, loss, standard
from appliance.training.linear import sample
from appliance.training.preparation import Preparation, fit_preparation
from appliance.training.tasks import Task

HIDDEN = (64, 32)
MOST_EPOCHS = 150
PATIENCE = 8
PENALTY = 1e-3
STEP = 1e-3


class Network:
    name = "mlp"

    def fit(self, rows: Rows, valid: Rows | None, plan: Plan, settings: dict[str, Any]) -> Fitted:
        began = time.monotonic()
        preparation = fit_preparation(rows.x, plan.features)
        rows = sample(rows, preparation.width, plan.seed)
        prepared = preparation.transform(rows.x)
        mean, scale = standard(rows.y, plan.task)
        y = (rows.y - mean) / scale if plan.task is Task.REGRESSION else rows.y
        batch = int(np.clip(len(rows) // 50, 16, 256))
        model = _model(plan, batch)
        extra = {} if plan.task is Task.REGRESSION else {"classes": np.arange(plan.classes)}
        epochs = int(settings.get("epochs", MOST_EPOCHS))
        best: tuple[float, int, Layers] | None = None
        # One thread: the matrices are small, and on a busy machine two spin while they wait for each other.
        with threadpool_limits(1):
            for epoch in range(1, epochs + 1):
                model.partial_fit(prepared, y, **extra)
                plan.progress(epoch / epochs)
                if valid is not None:
                    layers = _layers(model, preparation, plan, mean, scale)
                    now = loss(layers.predict(valid.x), valid.y, plan.task)
                    if best is None or now < best[0]:
                        best = (now, epoch, layers)
                    elif epoch - best[1] >= PATIENCE:
                        break
                if time.monotonic() > plan.deadline:
                    break
        if best is None:
            best = (float("nan"), epoch, _layers(model, preparation, plan, mean, scale))
        _, used, layers = best
        return Fitted(
            algorithm=self.name,
            params={
                "hidden": list(HIDDEN), "batch": batch, "penalty": PENALTY, "step": STEP,
                "epochs": used, "inputs": preparation.width,
            },
            estimator=layers,
            predict=layers.predict,
            seconds=time.monotonic() - began,
            settings={"epochs": used},
            details={"rows": len(rows), "epochs_run": epoch},
        )  # fmt: skip


def _model(plan: Plan, batch: int) -> Any:
    kind = MLPRegressor if plan.task is Task.REGRESSION else MLPClassifier
    return kind(
        hidden_layer_sizes=HIDDEN,
        alpha=PENALTY,
        learning_rate_init=STEP,
        batch_size=batch,
        # A generator, not a number: a number would shuffle every epoch alike.
        random_state=np.random.RandomState(plan.seed),
    )


def _layers(model: Any, preparation: Preparation, plan: Plan, mean: float, scale: float) -> Layers:
    output = {Task.BINARY: "sigmoid", Task.MULTICLASS: "softmax", Task.REGRESSION: "identity"}[plan.task]
    return Layers(
        preparation,
        tuple(weight.astype(np.float32) for weight in model.coefs_),
        tuple(bias.astype(np.float32) for bias in model.intercepts_),
        output,
        mean,
        scale,
    )
