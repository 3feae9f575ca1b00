"""Linear models and networks as plain ONNX operators.

Repeats the preparation step by step in float32 (see the fields of `PreparationLike`), then matrix by
matrix. No ai.onnx.ml operator: OpenVINO rejects all of them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadInput
from appliance.export.graph import INPUT, Graph

Array = NDArray[Any]


class PreparationLike(Protocol):
    """The fitted preparation, as `training` makes it: what happens to which input column, in this order."""

    @property
    def numeric(self) -> Array: ...
    @property
    def median(self) -> Array: ...
    @property
    def mean(self) -> Array: ...
    @property
    def reach(self) -> Array: ...
    @property
    def scale(self) -> Array: ...
    @property
    def gaps(self) -> Array: ...
    @property
    def slot_columns(self) -> Array: ...
    @property
    def slot_codes(self) -> Array: ...
    @property
    def blanks(self) -> Array: ...


class LayersLike(Protocol):
    """Matrices with relu between them; `output` is sigmoid, softmax or identity."""

    @property
    def preparation(self) -> PreparationLike: ...
    @property
    def weights(self) -> tuple[Array, ...]: ...
    @property
    def biases(self) -> tuple[Array, ...]: ...
    @property
    def output(self) -> str: ...
    @property
    def target_mean(self) -> float: ...
    @property
    def target_scale(self) -> float: ...


def export_layers(layers: LayersLike, width: int) -> bytes:
    """ONNX bytes of `layers` over `width` input columns."""
    outputs = 2 if layers.output == "sigmoid" else layers.weights[-1].shape[1]
    graph = Graph(width, outputs)
    value = _prepare(graph, layers.preparation, width)
    last = len(layers.weights) - 1
    for index, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        value = graph.add("Gemm", value, graph.constant(weight), graph.constant(bias))
        if index < last:
            value = graph.add("Relu", value)
    if layers.output == "sigmoid":
        value = graph.probabilities(value, np.float32)
    elif layers.output == "softmax":
        value = graph.add("Softmax", value, axis=1)
    elif layers.output == "identity":
        value = graph.add("Mul", value, graph.constant(np.array([layers.target_scale], np.float32)))
        value = graph.add("Add", value, graph.constant(np.array([layers.target_mean], np.float32)))
    else:
        raise BadInput(f"A network that ends in '{layers.output}' cannot be exported.", "Train it again.")
    return graph.finish(value)


def _prepare(graph: Graph, preparation: PreparationLike, width: int) -> str:
    """The prepared row, in the order `Preparation.transform` documents."""
    parts: list[str] = []
    if len(preparation.numeric):
        raw = _columns(graph, preparation.numeric, width)
        value = graph.add("Where", graph.add("IsNaN", raw), graph.constant(preparation.median), raw)
        value = graph.add("Sub", value, graph.constant(preparation.mean))
        value = graph.add("Max", value, graph.constant(-preparation.reach))
        value = graph.add("Min", value, graph.constant(preparation.reach))
        parts.append(graph.add("Div", value, graph.constant(preparation.scale)))
    if len(preparation.gaps):
        missing = graph.add("IsNaN", _columns(graph, preparation.gaps, width))
        parts.append(graph.cast(missing, np.float32))
    if len(preparation.slot_columns):
        codes = _columns(graph, preparation.slot_columns, width)
        same = graph.add("Equal", codes, graph.constant(preparation.slot_codes))
        parts.append(graph.cast(same, np.float32))
    if len(preparation.blanks):
        blank = graph.add("IsNaN", _columns(graph, preparation.blanks, width))
        parts.append(graph.cast(blank, np.float32))
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _columns(graph: Graph, columns: Array, width: int) -> str:
    if np.array_equal(columns, np.arange(width)):
        return INPUT
    return graph.add("Gather", INPUT, graph.constant(np.asarray(columns, np.int64)), axis=1)
