"""Parity finds what an export got wrong, and does not cry over the last bit."""

import json

import numpy as np
import pytest
from boosters import booster

from appliance.data.signature import Feature
from appliance.data.types import Kind
from appliance.errors import BadInput
from appliance.export import check, prove, synthetic_rows, to_onnx
from appliance.export.trees import export_trees
from appliance.training.fitted import Fitted

FEATURES = [
    Feature(f"f{i}", f"f{i}", Kind.CATEGORICAL if i < 2 else Kind.NUMBER, 6 if i < 2 else 0) for i in range(6)
]


def test_equal_answers_are_ok_and_small_differences_too():
    said = np.array([[0.3, 0.7], [0.5, 0.5]])
    assert check(said, said.astype(np.float32)).ok
    tie_broken = said + np.array([[0, 0], [1e-7, -1e-7]])
    assert check(said, tie_broken).flips == 0


def test_differences_flips_shapes_and_nan_are_found():
    said = np.array([[0.3, 0.7], [0.4, 0.6]])
    flipped = check(said, said[:, ::-1])
    assert (flipped.ok, flipped.flips) == (False, 2)
    assert not check(said, said + 1e-4).ok
    assert not check(said, np.full_like(said, np.nan)).ok
    assert not check(said, said[:, :1]).ok
    json.dumps(check(said, said[:1]).as_json(), allow_nan=False)


def test_amounts_are_judged_by_their_size():
    said = np.array([[1e6], [2e6], [3e6]])
    assert check(said, said + 1).ok
    assert not check(said, said + 100).ok
    tiny = np.array([[1e-7], [2e-7]])
    assert not check(tiny, tiny * 1.1).ok


def test_synthetic_rows_hold_every_trouble_and_are_repeatable():
    _, x = booster(0, missing=False)
    before = x.copy()
    rows = synthetic_rows(x, FEATURES, seed=1)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(rows, synthetic_rows(x, FEATURES, seed=1))
    assert rows.dtype == np.float32
    assert np.isnan(rows).all(axis=1).any()
    assert (np.isnan(rows).sum(axis=1) == 1).any()
    assert (rows[:, :2] == 6).all(axis=1).any()
    assert np.nanmax(rows[:, 2:]) > 1e38
    codes = rows[:, :2][~np.isnan(rows[:, :2])]
    assert set(codes.tolist()) <= set(range(7))  # a signature gives no other


def test_a_wrong_graph_is_found_out():
    model, x = booster(0)
    other, _ = booster(1)

    def predict(rows):
        raw = model.predict(rows)
        return np.stack([1 - raw, raw], axis=1)

    assert prove(export_trees(model, 6), predict, x[:100], FEATURES).ok
    assert not prove(export_trees(other, 6), predict, x[:100], FEATURES).ok


def test_an_unknown_kind_of_model_is_refused():
    with pytest.raises(BadInput, match="'forest'"):
        to_onnx(Fitted("forest", {}, None, lambda x: x, 0.0), 3)
