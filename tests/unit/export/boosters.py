"""Small random LightGBM models with everything that can go wrong in an export."""

import lightgbm as lgb
import numpy as np


def booster(seed, objective="binary", categories=6, missing=True, rounds=12, rows=500, **more):
    """A booster over six columns: two categories, a column of steps, three numbers; and its training rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    x[:, :2] = rng.integers(0, categories, (rows, 2))
    x[:, 2] = np.round(x[:, 2] * 3) / np.float32(7)
    x[:, 3] *= 1e6
    effect = rng.normal(size=(2, categories))
    score = effect[0][x[:, 0].astype(int)] + effect[1][x[:, 1].astype(int)] + x[:, 2] * x[:, 4] + x[:, 5]
    if missing:
        x[rng.random(x.shape) < 0.08] = np.nan
    y = {
        "binary": (score > 0).astype(float),
        "multiclass": np.digitize(score, [-1, 1]).astype(float),
        "regression": score,
    }[objective]
    params = {
        "objective": objective, "num_leaves": 12, "min_data_in_leaf": 5, "min_data_per_group": 5,
        "verbosity": -1, "num_threads": 1, "seed": seed, "deterministic": True, "force_row_wise": True,
        "cat_smooth": 1, **more,
    }  # fmt: skip
    if objective == "multiclass":
        params["num_class"] = 3
    return lgb.train(params, lgb.Dataset(x, y, categorical_feature=[0, 1], params=params), rounds), x


def trouble(x, seed, categories):
    """Rows with missing, unseen, infinite, zero and neighbouring values, a few thousand."""
    rng = np.random.default_rng(seed)
    rows = [x]
    numbers = [np.nan, 0.0, -0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-40, 1e-35, -1e-35, 1.0]
    codes = [np.nan, -1, -7, categories, categories + 1, 31, 32, 33, 63, 64, 65, 300, 1e9]
    for column in range(x.shape[1]):
        for value in codes if column < 2 else numbers:
            some = x[rng.integers(0, len(x), 25)].copy()
            some[:, column] = value
            rows.append(some)
    for towards in (np.inf, -np.inf):
        beside = x.copy()
        beside[:, 2:] = np.nextafter(beside[:, 2:], np.float32(towards))
        rows.append(beside)
    rows.append(np.full((1, x.shape[1]), np.nan, np.float32))
    return np.concatenate(rows).astype(np.float32)
