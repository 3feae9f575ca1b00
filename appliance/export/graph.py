"""A few lines over onnx.helper: nodes and constants are added in order, names are made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "input", "output"
OPSET, ML_OPSET, IR_VERSION = 18, 5, 10  # onnxruntime >= 1.20 and OpenVINO >= 2024.6 read these


class Graph:
    """An ONNX graph in the making: one float32[N, width] input, one float32[N, outputs] output."""

    def __init__(self, width: int, outputs: int) -> None:
        self.width = width
        self.outputs = outputs
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._ml = False

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; gives its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; gives the output's name."""
        name = output or f"v{len(self._nodes)}"
        self._ml = self._ml or domain == "ai.onnx.ml"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def cast(self, value: str, dtype: Any, output: str = "") -> str:
        """Add a conversion to a numpy dtype."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, output=output, to=kind)

    def probabilities(self, raw: str, dtype: Any) -> str:
        """[1-p, p] from one raw column of log-odds."""
        positive = self.add("Sigmoid", raw)
        negative = self.add("Sub", self.constant(np.ones(1, dtype)), positive)
        return self.add("Concat", negative, positive, axis=1)

    def finish(self, result: str) -> bytes:
        """Name `result` (float32) as the output, check the graph, and give its bytes."""
        self.add("Identity", result, output=OUTPUT)
        opsets = [helper.make_opsetid("", OPSET)]
        if self._ml:
            opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
        graph = helper.make_graph(
            self._nodes,
            "model",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, self.width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, self.outputs])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="falaj")
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
