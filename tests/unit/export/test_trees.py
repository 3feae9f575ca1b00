"""LightGBM to TreeEnsemble: every row goes to the same leaves, whatever is in it."""

import re

import lightgbm as lgb
import numpy as np
import pytest
from boosters import booster, trouble
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import BadInput
from appliance.export.trees import export_trees, floor32
from appliance.runtimes import open_runtime


def run(graph, rows):
    session = open_runtime("onnxruntime").load(graph)
    try:
        return session.run(rows)
    finally:
        session.close()


@pytest.mark.parametrize("categories", [2, 3, 6, 31, 32, 33, 64, 70])
@pytest.mark.parametrize("missing", [True, False])
def test_binary_agrees_on_difficult_rows(categories, missing):
    model, x = booster(categories, categories=categories, missing=missing)
    rows = trouble(x, 1, categories)
    got = run(export_trees(model, 6), rows)
    expected = model.predict(rows)
    assert got.shape == (len(rows), 2)
    assert got.dtype == np.float32
    assert np.abs(got[:, 1] - expected).max() < 1e-7
    assert np.abs(got.sum(axis=1) - 1).max() < 1e-6


def test_multiclass_and_regression_agree():
    model, x = booster(1, "multiclass")
    rows = trouble(x, 1, 6)
    assert np.abs(run(export_trees(model, 6), rows) - model.predict(rows)).max() < 1e-7
    model, x = booster(2, "regression")
    got = run(export_trees(model, 6, target_mean=1e5, target_scale=300.0), rows)
    np.testing.assert_allclose(got[:, 0], model.predict(rows) * 300 + 1e5, rtol=1e-7)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000), categories=st.integers(2, 80), missing=st.booleans(),
    onehot=st.sampled_from([1, 4, 100]), max_bin=st.sampled_from([3, 16, 255]),
)  # fmt: skip
def test_any_small_booster_agrees(seed, categories, missing, onehot, max_bin):
    more = {"max_cat_to_onehot": onehot, "max_bin": max_bin}
    model, x = booster(seed, categories=categories, missing=missing, rounds=4, rows=250, **more)
    rows = trouble(x, seed, categories)
    assert np.abs(run(export_trees(model, 6), rows)[:, 1] - model.predict(rows)).max() < 1e-7


def test_rows_one_float_beside_every_threshold_are_routed_alike():
    model, _ = booster(5, rounds=30)
    text = str(model.dump_model())
    thresholds = np.array([float(t) for t in re.findall(r"'threshold': (-?[0-9][0-9.e+-]*)", text)])
    below = np.array([floor32(t) for t in thresholds], np.float32)
    values = np.concatenate([below, np.nextafter(below, np.float32(np.inf))])
    values = np.concatenate([values, np.nextafter(below, np.float32(-np.inf))])
    rows = np.tile(values[:, None], (1, 6))
    rows[:, :2] = 1
    assert np.abs(run(export_trees(model, 6), rows)[:, 1] - model.predict(rows)).max() < 1e-7


@given(st.floats(-1e300, 9e299).filter(lambda t: abs(t) > 1.1e-35))
def test_floor32_is_the_largest_float32_not_above(threshold):
    low = floor32(threshold)
    assert low <= threshold
    with np.errstate(over="ignore"):
        assert float(np.nextafter(np.float32(low), np.float32(np.inf))) > threshold


def test_floor32_around_zero_and_at_infinity():
    nothing = np.float32(1e-35)
    assert floor32(0.0) == floor32(1e-40) == float(nothing)
    assert floor32(-1e-40) < -float(nothing)
    assert floor32(1e300) == float("inf")


def test_a_model_of_stumps_without_a_split():
    x, y = np.zeros((50, 6), np.float32), np.r_[np.zeros(20), np.ones(30)]
    model = lgb.train({"objective": "binary", "verbosity": -1}, lgb.Dataset(x, y), 3)
    assert run(export_trees(model, 6), x[:2])[:, 1] == pytest.approx(model.predict(x[:2]), abs=1e-7)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"linear_tree": True, "missing": False}, "linear trees"),
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averages"),
    ],
)
def test_what_is_not_exported_is_refused(more, says):
    model, _ = booster(0, **more)
    with pytest.raises(BadInput, match=says):
        export_trees(model, 6)


def test_other_objectives_are_refused():
    x = np.random.default_rng(0).normal(size=(100, 2))
    model = lgb.train(
        {"objective": "poisson", "verbosity": -1}, lgb.Dataset(x, np.ones(100) + x[:, 0] ** 2), 2
    )
    with pytest.raises(BadInput, match="'poisson'"):
        export_trees(model, 2)
