"""Gradient-boosted trees (LightGBM) with conservative defaults and native categories.

Slow learning rate, small trees, row and column sampling: chosen for small and middling tables, where
they beat the library's own defaults (reference/monitoring.md, section 5). Deterministic for a seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np

from appliance.training.fitted import Doubles, Fitted, Floats, Plan, Rows, standard
from appliance.training.tasks import Task

MOST_ROUNDS = 1500
MOST_TREES = 3000  # rounds x classes: what one-row latency can bear
PATIENCE = 50
SMALL_CELLS = 500_000  # rows x columns up to which one thread is quicker, by far on a busy machine
SMALL_ROWS = 5000  # likewise, rows of one prediction


class Trees:
    name = "lightgbm"

    def fit(self, rows: Rows, valid: Rows | None, plan: Plan, settings: dict[str, Any]) -> Fitted:
        began = time.monotonic()
        rounds = int(settings.get("rounds", min(MOST_ROUNDS, MOST_TREES // plan.classes)))
        mean, scale = standard(rows.y, plan.task)
        params = _params(plan, len(rows))
        categorical = [i for i, feature in enumerate(plan.features) if feature.kind == "categorical"]
        train_set = _dataset(rows, mean, scale, params, categorical)
        callbacks: list[Callable[..., Any]] = [_watch(plan, rounds)]
        valid_sets = []
        if valid is not None:
            valid_sets = [train_set.create_valid(valid.x, (valid.y - mean) / scale)]
            callbacks.append(lgb.early_stopping(PATIENCE, verbose=False))
        booster = lgb.train(params, train_set, rounds, valid_sets=valid_sets, callbacks=callbacks)
        used = booster.best_iteration if valid is not None and booster.best_iteration > 0 else None
        used = used or booster.current_iteration()
        if used < booster.current_iteration():
            # One booster of exactly the trees that count: predict, dump and export then agree.
            booster = lgb.Booster(model_str=booster.model_to_string(num_iteration=used))
        return Fitted(
            algorithm=self.name,
            params=params | {"rounds": used},
            estimator=booster,
            predict=_predict(booster, plan, mean, scale),
            seconds=time.monotonic() - began,
            settings={"rounds": used},
            details={"trees": booster.num_trees(), "stopped_early": used < rounds},
            target_mean=mean,
            target_scale=scale,
        )


def _params(plan: Plan, rows: int) -> dict[str, Any]:
    objectives: dict[Task, dict[str, Any]] = {
        Task.BINARY: {"objective": "binary", "metric": "binary_logloss"},
        Task.MULTICLASS: {
            "objective": "multiclass", "metric": "multi_logloss", "num_class": plan.classes,
        },
        Task.REGRESSION: {"objective": "regression", "metric": "l2"},
    }  # fmt: skip
    small = max(5, min(40, rows // 50))
    return objectives[plan.task] | {
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": small,
        "min_data_per_group": max(small, min(100, rows // 50)),
        "lambda_l2": 1.0,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.8,
        "seed": plan.seed,
        "num_threads": plan.threads if rows * len(plan.features) > SMALL_CELLS else 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _dataset(
    rows: Rows, mean: float, scale: float, params: dict[str, Any], categorical: list[int]
) -> lgb.Dataset:
    y = rows.y if scale == 1.0 and mean == 0.0 else (rows.y - mean) / scale
    return lgb.Dataset(rows.x, y, params=params, categorical_feature=categorical)


def _watch(plan: Plan, rounds: int) -> Callable[[Any], None]:
    """Tells the progress, and ends the training in time."""

    def watch(env: Any) -> None:
        plan.progress(min(1.0, (env.iteration + 1) / rounds))
        if time.monotonic() > plan.deadline:
            raise lgb.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])

    watch.order = 5  # type: ignore[attr-defined]  # before early_stopping, which is 30
    return watch


def _predict(booster: lgb.Booster, plan: Plan, mean: float, scale: float) -> Callable[[Floats], Doubles]:
    def predict(x: Floats) -> Doubles:
        threads = plan.threads if len(x) > SMALL_ROWS else 1
        raw = np.asarray(booster.predict(x, num_threads=threads), np.float64)
        if plan.task is Task.BINARY:
            return np.stack([1.0 - raw, raw], axis=1)
        return raw if plan.task is Task.MULTICLASS else raw[:, None] * scale + mean

    return predict
