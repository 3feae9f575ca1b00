"""Linear models and networks: the same answers in ONNX Runtime and OpenVINO, difficult rows included."""

import numpy as np
import onnx
import pytest

from appliance.data.signature import Feature
from appliance.data.types import Kind
from appliance.export import prove, to_onnx
from appliance.training.race import train

FEATURES = [
    Feature("amount", "amount", Kind.NUMBER),
    Feature("kind", "kind", Kind.CATEGORICAL, 5),
    Feature("year", "year", Kind.INTEGER),
    Feature("colour", "colour", Kind.CATEGORICAL, 3),
    Feature("big", "big", Kind.NUMBER),
]


def table(seed=0, rows=400):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    x[:, 1], x[:, 3] = rng.integers(0, 5, rows), rng.integers(0, 3, rows)
    x[:, 2] = 2000 + rng.integers(0, 25, rows)
    x[:, 4] *= 1e9
    score = x[:, 0] + (x[:, 1] == 2) * 2 - (x[:, 3] == 1) + x[:, 4] / 1e9 + 0.1 * (x[:, 2] - 2012)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, score


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("algorithm", ["linear", "mlp"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_parity(task, algorithm, runtime):
    x, score = table()
    y, labels = {
        "binary": ((score > 0).astype(np.int64), ("no", "yes")),
        "multiclass": (np.digitize(score, [-1, 1]), ("a", "b", "c")),
        "regression": (score * 1e4 + 1e6, ()),
    }[task]
    fitted = train(x[:300], y[:300], FEATURES, task, labels, algorithm=algorithm, budget_seconds=1).fitted
    graph = to_onnx(fitted, 5)
    parity = prove(graph, fitted.predict, x[300:], FEATURES, runtime=runtime)
    assert parity.ok, parity
    assert parity.rows > 600
    assert parity.max_rel < 1e-5


def test_only_plain_operators_are_used():
    x, score = table()
    fitted = train(x, (score > 0).astype(int), FEATURES, "binary", ("no", "yes"), algorithm="linear").fitted
    model = onnx.load_from_string(to_onnx(fitted, 5))
    assert {node.domain for node in model.graph.node} == {""}
    assert [one.name for one in model.graph.input] == ["input"]
    assert [one.name for one in model.graph.output] == ["output"]
