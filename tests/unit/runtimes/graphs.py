"""Small graphs built by hand, each with a numpy reference that shares no code with a runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Matrix = Any


@dataclass
class Reference:
    """A two-layer network with the missing values filled in: input float32[N, d] -> softmax float32[N, k]."""

    width: int = 30
    classes: int = 3
    hidden: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.w1 = rng.normal(size=(self.width, self.hidden)).astype(np.float32)
        self.b1 = rng.normal(size=self.hidden).astype(np.float32)
        self.w2 = rng.normal(size=(self.hidden, self.classes)).astype(np.float32) / 4
        self.b2 = rng.normal(size=self.classes).astype(np.float32)
        self.fill = rng.normal(size=self.width).astype(np.float32)

    def answer(self, x: Matrix) -> Matrix:
        filled = np.where(np.isnan(x), self.fill, x).astype(np.float64)
        z = np.maximum(filled @ self.w1 + self.b1, 0) @ self.w2 + self.b2
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)

    def graph(self) -> bytes:
        constants = {"w1": self.w1, "b1": self.b1, "w2": self.w2, "b2": self.b2, "fill": self.fill}
        nodes = [
            helper.make_node("IsNaN", ["input"], ["missing"]),
            helper.make_node("Where", ["missing", "fill", "input"], ["filled"]),
            helper.make_node("Gemm", ["filled", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["z"]),
            helper.make_node("Softmax", ["z"], ["output"], axis=-1),
        ]
        return model_bytes(nodes, self.width, self.classes, constants)

    def rows(self, n: int, seed: int = 1, missing: float = 0.0) -> Matrix:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(n, self.width)).astype(np.float32)
        x[rng.random(x.shape) < missing] = np.nan
        return x


def model_bytes(
    nodes: list[Any], width: int, outputs: int, constants: dict[str, Matrix], kind: int = TensorProto.FLOAT
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", kind, ["N", width])],
        [helper.make_tensor_value_info("output", kind, ["N", outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return data


def stump(width: int = 2) -> bytes:
    """One tree: x[0] <= 0.5 -> 10, else 20."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["input"],
        ["output"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[10.0, 20.0],
    )
    return model_bytes([node], width, 1, {})


def slow(factor: float, trips: int) -> bytes:
    """x * factor, after `trips` rounds of a loop that changes nothing: takes its time, not memory."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["v"], ["v_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, ["N", 1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_next", TensorProto.FLOAT, ["N", 1]),
        ],
    )
    constants = {"trips": np.array(trips, np.int64), "factor": np.array([factor], np.float32)}
    nodes = [
        helper.make_node("Loop", ["trips", "", "input"], ["looped"], body=body),
        helper.make_node("Mul", ["looped", "factor"], ["output"]),
    ]
    return model_bytes(nodes, 1, 1, constants)
