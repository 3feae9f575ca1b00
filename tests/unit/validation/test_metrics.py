"""Metrics, plain and weighted, against scikit-learn; intervals against what they promise."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from appliance.validation.baseline import baseline
from appliance.validation.bootstrap import evaluate, resample_counts
from appliance.validation.calibration import calibration, wilson
from appliance.validation.metrics import statistics, values

GOLDEN = (0.7873808741373645, 0.7403631652428555, 0.8304978476787896)  # of two(), seed 0


def two(seed=0, rows=400, ties=True):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    p = np.clip(0.5 + 0.2 * (y - 0.5) + rng.normal(size=rows) * 0.2, 0.01, 0.99)
    p = np.round(p, 2) if ties else p
    return y, np.stack([1 - p, p], axis=1)


def test_binary_agrees_with_scikit_learn_under_weights():
    y, p = two()
    w = np.random.default_rng(1).integers(0, 4, len(y)).astype(float)
    got = {name: value[0] for name, value in statistics("binary", y, p)(w[None]).items()}
    said = p.argmax(axis=1)
    assert got["auc"] == pytest.approx(sk.roc_auc_score(y, p[:, 1], sample_weight=w), abs=1e-12)
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(y, said, sample_weight=w))
    assert got["f1"] == pytest.approx(sk.f1_score(y, said, sample_weight=w))
    assert got["logloss"] == pytest.approx(sk.log_loss(y, p, sample_weight=w))
    assert got["brier"] == pytest.approx(sk.brier_score_loss(y, p[:, 1], sample_weight=w))


def test_multiclass_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 4, 300), rng.dirichlet(np.ones(4), 300)
    got, said = values("multiclass", y, p), p.argmax(axis=1)
    assert got["auc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
    assert got["f1"] == pytest.approx(sk.f1_score(y, said, average="macro"))
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(y, said))
    assert got["logloss"] == pytest.approx(sk.log_loss(y, p))
    assert got["brier"] == pytest.approx(((p - np.eye(4)[y]) ** 2).sum(axis=1).mean())


def test_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200) + 1e6
    p = y + rng.normal(size=200) * 0.5
    w = rng.integers(0, 3, 200).astype(float)
    got = {name: value[0] for name, value in statistics("regression", y, p[:, None])(w[None]).items()}
    assert got["rmse"] == pytest.approx(sk.root_mean_squared_error(y, p, sample_weight=w))
    assert got["mae"] == pytest.approx(sk.mean_absolute_error(y, p, sample_weight=w))
    assert got["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=w))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_ranked_right(rows):
    y, score, w = (np.array(column) for column in zip(*rows, strict=True))
    assume(w.sum() > 0)
    p = np.stack([1 - score / 10, score / 10], axis=1)
    got = statistics("binary", y, p)(w[None].astype(float))["auc"][0]
    positive, negative = np.repeat(score[y == 1], w[y == 1]), np.repeat(score[y == 0], w[y == 0])
    if not len(positive) or not len(negative):
        assert np.isnan(got)
    else:
        gap = positive[:, None] - negative[None]
        assert got == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean())


def test_one_class_only_gives_no_auc_and_no_interval():
    found = evaluate("binary", np.ones(60, int), {"a": np.full((60, 2), 0.5)}, resamples=200)
    assert np.isnan(found.models["a"]["auc"].value)
    assert found.models["a"]["auc"].as_json() == {"value": None, "low": None, "high": None}
    assert found.models["a"]["accuracy"].value == 0.0


def test_resamples_are_complete_seeded_and_in_blocks():
    counts = np.concatenate(list(resample_counts(3000, 700, 5)))
    assert counts.shape == (700, 3000)
    assert (counts.sum(axis=1) == 3000).all()
    np.testing.assert_array_equal(counts, np.concatenate(list(resample_counts(3000, 700, 5))))
    assert abs(counts.var() - 1) < 0.02  # Poisson-like


def test_intervals_are_golden():
    y, p = two()
    auc = evaluate("binary", y, {"a": p}).models["a"]["auc"]
    assert (auc.value, auc.low, auc.high) == pytest.approx(GOLDEN, abs=1e-9)


def test_interval_width_is_that_of_theory():
    rng = np.random.default_rng(0)
    y, p = np.ones(1000, int), rng.random(1000)
    found = evaluate("binary", y, {"a": np.stack([1 - p, p], axis=1)}).models["a"]["accuracy"]
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / 1000)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_paired_differences_cancel_what_is_hard_for_both():
    y, p = two(rows=600, ties=False)
    nudged = np.clip(p + np.array([-0.004, 0.004]), 0, 1)
    found = evaluate("binary", y, {"a": p, "same": p, "near": nudged})
    same, near = found.improvements["same"]["auc"], found.improvements["near"]["logloss"]
    assert (same.low, same.value, same.high) == (0, 0, 0)
    own = found.models["a"]["logloss"]
    assert near.high - near.low < 0.2 * (own.high - own.low)


def test_improvement_is_positive_for_the_better_model_whichever_way_the_metric_runs():
    y = np.random.default_rng(0).normal(size=300)
    found = evaluate("regression", y, {"good": y[:, None] * 0.9, "bad": y[:, None] * 0})
    assert all(one.low > 0 for one in found.improvements["bad"].values())


def test_baselines():
    assert baseline("binary", np.array([0, 0, 0, 1]), 2, 3).tolist() == [[0.75, 0.25]] * 3
    assert baseline("regression", np.array([1.0, 3.0]), 1, 2).tolist() == [[2.0], [2.0]]


def test_calibration_tells_honest_from_boastful():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    honest = calibration(y, np.stack([1 - p, p], axis=1))
    boast = np.clip((p - 0.5) * 3 + 0.5, 0, 1)
    boastful = calibration(y, np.stack([1 - boast, boast], axis=1))
    assert honest.ece < 0.015
    assert boastful.ece > 0.1
    assert sum(one.rows for one in honest.bins) == 20_000
    inside = [one.low <= one.predicted <= one.high for one in honest.bins]
    assert sum(inside) >= 8  # of ten 95 % intervals


def test_calibration_of_equal_predictions_is_one_bin():
    found = calibration(np.array([0, 1, 1, 1]), np.tile([0.25, 0.75], (4, 1)))
    assert [(one.rows, one.observed) for one in found.bins] == [(4, 0.75)]
    assert found.ece == 0


def test_wilson():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
