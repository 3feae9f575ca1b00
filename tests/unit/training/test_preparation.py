"""Preparation: nothing missing, nothing infinite, categories by column, unseen sets nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.data.signature import Feature
from appliance.data.types import Kind
from appliance.training.preparation import WIDEST, fit_preparation

FEATURES = [
    Feature("a", "a", Kind.NUMBER),
    Feature("c", "c", Kind.CATEGORICAL, 3),
    Feature("b", "b", Kind.INTEGER),
]
NAN = np.nan
X = np.array([[1, 0, 5], [2, 1, NAN], [3, NAN, 7], [6, 1, 9]], np.float32)


def test_columns_are_scaled_filled_and_spread():
    got = fit_preparation(X, FEATURES)
    out = got.transform(X)
    # a, b scaled; b missing?; c == 0, c == 1; c missing?
    assert out.shape == (4, 6)
    np.testing.assert_allclose(out[:, 0], (X[:, 0] - 3) / X[:, 0].std(), rtol=1e-6)
    assert out[1, 1] == 0  # the median, 7, is also the mean
    assert out[:, 2].tolist() == [0, 1, 0, 0]
    assert out[:, 3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_unseen_category_sets_no_column():
    out = fit_preparation(X, FEATURES).transform(np.array([[1, 3, 5]], np.float32))
    assert out[0, 3:].tolist() == [0, 0, 0]


def test_input_is_not_changed():
    before = X.copy()
    fit_preparation(X, FEATURES).transform(X)
    np.testing.assert_array_equal(X, before)


def test_constant_and_empty_columns_do_not_divide_by_zero():
    x = np.array([[7, NAN], [7, NAN]], np.float32)
    two = [Feature("a", "a", Kind.NUMBER), Feature("b", "b", Kind.NUMBER)]
    assert np.isfinite(fit_preparation(x, two).transform(x)).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
def test_any_row_comes_out_finite_and_bounded(row):
    out = fit_preparation(X, FEATURES).transform(np.array([row], np.float32))
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= WIDEST * (1 + 1e-6)
