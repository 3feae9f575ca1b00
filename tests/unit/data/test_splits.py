"""The hold-out is fair to every class, and the same again tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.data.splits import holdout


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(0, 5))
def test_every_class_with_two_rows_is_on_both_sides(classes: list[int], seed: int) -> None:
    values = np.array(classes)
    mask = holdout(values, "multiclass", seed=seed)
    assert mask.dtype == np.bool_
    for code in np.unique(values):
        held, count = int(mask[values == code].sum()), int((values == code).sum())
        if count == 1:
            assert held == 0
        else:
            assert 1 <= held < count
            assert abs(held - 0.2 * count) <= 1


def test_the_same_seed_gives_the_same_rows_and_another_gives_others() -> None:
    values = np.arange(1000) % 3
    np.testing.assert_array_equal(holdout(values, "multiclass"), holdout(values, "multiclass"))
    assert (holdout(values, "multiclass", seed=1) != holdout(values, "multiclass", seed=0)).any()


def test_words_are_classes_too() -> None:
    words = np.array(["no", "yes", "no", "no", "yes"] * 20, dtype=object)
    mask = holdout(words, "binary")
    np.testing.assert_array_equal(mask, holdout(words.astype(str), "binary"))
    assert mask[words == "yes"].sum() == 8
    assert mask[words == "no"].sum() == 12


def test_regression_draws_a_fifth_spread_over_the_table() -> None:
    mask = holdout(np.linspace(0, 1, 5000), "regression")
    assert mask.sum() == 1000
    assert 160 <= mask[:1000].sum() <= 240


@pytest.mark.parametrize(("count", "held"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_tiny_tables(count: int, held: int) -> None:
    assert holdout(np.zeros(count), "regression").sum() == held
    assert holdout(np.zeros(count), "binary").sum() == held


def test_a_senseless_fraction_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holdout(np.zeros(3), "regression", fraction=1.0)
