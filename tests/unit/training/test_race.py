"""Training end to end on real tables: quality, determinism, budget, refusals, and what the race records."""

import itertools
import time

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from appliance.data.signature import Feature
from appliance.data.splits import holdout
from appliance.data.types import Kind
from appliance.errors import BadInput, Cancelled
from appliance.training.fitted import Plan, Rows
from appliance.training.linear import ABSENT, Linear
from appliance.training.race import FOLDS, SMALL, folds, train
from appliance.training.tasks import Task


def numbers(width):
    return [Feature(f"f{i}", f"f{i}", Kind.NUMBER) for i in range(width)]


@pytest.fixture(scope="module")
def cancer():
    data = load_breast_cancer()
    mask = holdout(data.target, "binary", 0.2, 0)
    return data.data.astype(np.float32), data.target, mask


def test_lightgbm_on_breast_cancer(cancer):
    x, y, held = cancer
    outcome = train(x[~held], y[~held], numbers(30), "binary", ("0", "1"), algorithm="lightgbm")
    assert roc_auc_score(y[held], outcome.fitted.predict(x[held])[:, 1]) >= 0.98
    assert outcome.refitted
    assert outcome.fitted.estimator.num_trees() == outcome.fitted.settings["rounds"]


def test_network_on_digits():
    data = load_digits()
    x, y = data.data.astype(np.float32), data.target
    held = holdout(y, "multiclass", 0.2, 0)
    outcome = train(
        x[~held], y[~held], numbers(64), "multiclass", tuple("0123456789"), algorithm="mlp", budget_seconds=4
    )
    assert (outcome.fitted.predict(x[held]).argmax(axis=1) == y[held]).mean() >= 0.95


def test_auto_races_all_and_takes_the_best(cancer):
    x, y, _ = cancer
    said = []
    outcome = train(
        x[:200],
        y[:200],
        numbers(30),
        "binary",
        ("0", "1"),
        progress=lambda f, phase: said.append((f, phase)),
    )
    scores = {runner.algorithm: runner.score for runner in outcome.race}
    assert set(scores) == {"linear", "lightgbm", "mlp"}
    (winner,) = [runner.algorithm for runner in outcome.race if runner.won]
    assert winner == outcome.fitted.algorithm == max(scores, key=scores.get)
    fractions = [fraction for fraction, _ in said]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(fractions))
    assert fractions[-1] == 1.0
    assert "trying lightgbm (2 of 3)" in {phase for _, phase in said}


def test_same_seed_same_model(cancer):
    x, y, held = cancer
    for algorithm in ("linear", "lightgbm", "mlp"):
        first, second = (
            train(
                x[~held][:60], y[~held][:60], numbers(30), "binary", ("0", "1"), algorithm=algorithm, seed=3
            )
            for _ in range(2)
        )
        np.testing.assert_array_equal(first.fitted.predict(x[held]), second.fitted.predict(x[held]))


def test_regression_in_the_targets_own_unit():
    data = load_diabetes()
    x, y = data.data.astype(np.float32), data.target * 1000 + 1e6
    for algorithm in ("linear", "lightgbm", "mlp"):
        fitted = train(x[:350], y[:350], numbers(10), "regression", algorithm=algorithm).fitted
        said = fitted.predict(x[350:])
        assert said.shape == (92, 1)
        assert np.sqrt(np.mean((said[:, 0] - y[350:]) ** 2)) < 0.85 * y[350:].std()


def test_budget_is_kept_and_something_comes_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 40)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + rng.normal(size=4000) > 0).astype(np.int64)
    began = time.monotonic()
    outcome = train(x, y, numbers(40), "binary", ("0", "1"), budget_seconds=0.5)
    assert time.monotonic() - began < 6  # generous: a busy machine
    assert np.isfinite(outcome.fitted.predict(x[:5])).all()


def test_linear_layers_say_what_scikit_learn_says(cancer):
    x, y, _ = cancer
    plan = Plan(numbers(30), Task.BINARY, 2)
    fitted = Linear().fit(Rows(x, y), None, plan, {"strength": 1.0})
    prepared = fitted.estimator.preparation.transform(x).astype(np.float64)
    oracle = LogisticRegression(C=1.0, max_iter=300).fit(prepared, y).predict_proba(prepared)
    np.testing.assert_allclose(fitted.predict(x), oracle, atol=1e-5)


def test_a_class_absent_from_the_fit_gets_almost_no_chance(cancer):
    x, y, _ = cancer
    fitted = Linear().fit(Rows(x, y * 2), None, Plan(numbers(30), Task.MULTICLASS, 3), {"strength": 1.0})
    said = fitted.predict(x)
    assert said.shape == (569, 3)
    assert said[:, 1].max() < np.exp(ABSENT) * 1.01
    assert (said.argmax(axis=1) == y * 2).mean() > 0.95


@pytest.mark.parametrize("task", list(Task))
def test_folds_cover_every_row_once_and_are_stratified(task):
    y = np.repeat([0, 1, 2], [70, 20, 10])
    masks = folds(y, task, 0)
    assert len(masks) == FOLDS
    assert np.sum(masks, axis=0).tolist() == [1] * 100
    if task is not Task.REGRESSION:
        assert all((y[mask] == 2).sum() == 2 for mask in masks)
    assert len(folds(np.zeros(SMALL + 1), task, 0)) == 1


@pytest.mark.parametrize(
    ("rows", "y", "features", "algorithm", "says"),
    [
        (5, [0, 1, 0, 1, 0], 3, "auto", "Only 5 rows"),
        (40, [0] * 40, 3, "auto", "fewer than two classes"),
        (40, [0] * 39 + [1], 3, "auto", "'yes' occurs only once"),
        (40, [0, 1] * 20, 3, "forest", "no algorithm 'forest'"),
        (40, [0, 1] * 20, 0, "auto", "no column left"),
    ],
)
def test_refusals(rows, y, features, algorithm, says):
    x = np.zeros((rows, features), np.float32)
    with pytest.raises(BadInput, match=says) as caught:
        train(x, np.array(y), numbers(features), "binary", ("no", "yes"), algorithm=algorithm)
    assert caught.value.hint


def test_progress_can_stop_the_training(cancer):
    x, y, _ = cancer

    def stop(fraction, phase):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        train(x, y, numbers(30), "binary", ("0", "1"), progress=stop)
