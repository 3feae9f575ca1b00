"""Open Inference Protocol V2, the JSON part (kserve/open-inference-protocol, `/v2`).

One input a column, by name; a model whose columns are all numeric also takes one table named "input".
Unknown keys are ignored, as the protocol asks. NaN, Infinity and null are read for FP*, null is written.
Element types are checked here against the declared datatype, values against the signature by the plane.
No shape is believed before the data bears it out: a few bytes must not claim millions of rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from appliance import __version__
from appliance.data.signature import Signature
from appliance.data.types import Kind
from appliance.errors import BadInput, BrokenRow
from appliance.inference import wire
from appliance.inference.plane import Prediction, Served, takes_matrix

TABLE = "input"  # the name of the all-columns table
_NONE = type(None)
_FLOATS: frozenset[type] = frozenset({float, int, _NONE})
_WHOLE: frozenset[type] = frozenset({int, _NONE})  # null: a missing value, as for FP*
DATATYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool, _NONE}),
    **{f"{sign}INT{bits}": _WHOLE for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "FP32": _FLOATS,
    "FP64": _FLOATS,
    "BYTES": frozenset({str, _NONE}),
}
_SENDS = {
    Kind.NUMBER: "FP64",
    Kind.INTEGER: "INT64",
    Kind.BOOLEAN: "BOOL",
    Kind.CATEGORICAL: "BYTES",
    Kind.DATETIME: "BYTES",
}
_METADATA = "GET /v2/models/MODEL shows the inputs and outputs of the model."


@dataclass(slots=True)
class Asked:
    """A parsed infer request: `n` rows, as keyword arguments of Plane.infer."""

    n: int
    given: dict[str, Any]
    id: str | None = None
    outputs: list[str] | None = None  # None: all


def server_metadata() -> dict[str, Any]:
    return {"name": "falaj", "version": __version__, "extensions": []}


def model_metadata(served: Served) -> dict[str, Any]:
    """Inputs in signature order; the table alternative stands in `parameters`, which clients may ignore."""
    signature = served.signature
    body: dict[str, Any] = {
        "name": served.model,
        "versions": [str(served.version)],
        "platform": f"{served.runtime}_onnx",
        "inputs": [
            {"name": column.name, "datatype": _SENDS.get(column.kind, "BYTES"), "shape": [-1]}
            for column in signature.columns
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, (datatype, shape) in _outputs(signature).items()
        ],
    }
    if takes_matrix(signature):
        table = {"name": TABLE, "datatype": "FP64", "shape": [-1, len(signature.columns)]}
        body["parameters"] = {"alternative_input": wire.dumps(table).decode()}
    return body


def _outputs(signature: Signature) -> dict[str, tuple[str, list[int]]]:
    if signature.labels:
        return {"label": ("BYTES", [-1]), "probabilities": ("FP32", [-1, len(signature.labels)])}
    return {"prediction": ("FP32", [-1])}


def parse(body: bytes, signature: Signature) -> Asked:
    """Raises BadInput naming the input that is wrong (as `column`) and how; BrokenRow: a table too wide."""
    document = wire.loads(body)
    inputs = document.get("inputs")
    if type(inputs) is not list or not inputs:
        raise BadInput("The request has no 'inputs'.", f"Send one input for each column. {_METADATA}")
    request_id = document.get("id")
    if request_id is not None and type(request_id) is not str:
        raise BadInput("The 'id' of the request must be a text.", 'For example {"id": "42", ...}.')
    asked = Asked(0, {}, request_id, _wanted(document.get("outputs")))
    tensors = [_tensor(entry) for entry in inputs]
    names = [name for name, _, _ in tensors]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise BadInput(f"The input '{twice}' is given twice.", "Give each input once.", column=twice)
    name, shape, values = tensors[0]
    asked.n = shape[0]
    if names == [TABLE] and len(shape) == 2 and inputs[0]["datatype"] != "BYTES":
        width = shape[1]
        if width != len(signature.columns):
            raise BrokenRow(
                f"The model has {len(signature.columns)} columns, but the input '{TABLE}' has {width}.",
                _METADATA,
            )
        asked.given["matrix"] = [values[row * width : (row + 1) * width] for row in range(shape[0])]
        return asked
    for name, shape, _ in tensors:
        if len(shape) == 2 and shape[1] != 1:
            raise BadInput(
                f"The input '{name}' has {shape[1]} columns.",
                f"Send one input a column with shape [n], or all numbers as a single input named '{TABLE}'.",
                column=name,
            )
        if shape[0] != asked.n:
            raise BadInput(
                f"The inputs differ in rows: '{names[0]}' has {asked.n}, '{name}' {shape[0]}.",
                "Send as many values in each input.",
                column=name,
            )
    asked.given["columns"] = {name: values for name, _, values in tensors}
    return asked


def _wanted(outputs: Any) -> list[str] | None:
    if outputs is None:
        return None
    if type(outputs) is not list or not all(
        type(entry) is dict and type(entry.get("name")) is str for entry in outputs
    ):
        raise BadInput(
            "The 'outputs' must be a list of objects with a 'name'.", 'For example [{"name": "label"}].'
        )
    return [entry["name"] for entry in outputs] or None


def _tensor(entry: Any) -> tuple[str, list[int], list[Any]]:
    """(name, shape, flat values) of one input."""
    if type(entry) is not dict or type(entry.get("name")) is not str:
        raise BadInput("Each of the 'inputs' must be an object with a 'name'.", _METADATA)
    name = entry["name"]
    shape = _shape(name, entry.get("shape"))
    datatype = entry.get("datatype")
    allowed = DATATYPES.get(datatype) if type(datatype) is str else None
    if allowed is None:
        raise BadInput(
            f"The input '{name}' has no datatype that can be read: {_shown(datatype)}.",
            f"Use one of: {', '.join(DATATYPES)}.",
            column=name,
        )
    values = _flat(name, shape, entry)
    if not allowed.issuperset(map(type, values)):
        odd = next(value for value in values if type(value) not in allowed)
        raise BadInput(
            f"The input '{name}' is declared {datatype}, but holds {_shown(odd)}.",
            "Make the datatype and the data agree.",
            column=name,
        )
    return name, shape, values


def _shown(value: Any) -> str:
    """A value of the request, for an error; lists and objects, deep or huge as they may be, by their kind."""
    if type(value) in (list, dict):
        return wire.name_of(value)
    return wire.dumps(value[:60] if type(value) is str else value).decode()


def _shape(name: str, shape: Any) -> list[int]:
    if (
        type(shape) is not list
        or len(shape) not in (1, 2)
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise BadInput(
            f"The 'shape' of the input '{name}' must be [rows] or [rows, columns].",
            'For example "shape": [3] for three rows.',
            column=name,
        )
    if len(shape) == 2 and shape[1] == 0:
        raise BadInput(
            f"The 'shape' {shape} of the input '{name}' means rows without columns.",
            'For example "shape": [3] for three rows.',
            column=name,
        )
    return shape


def _flat(name: str, shape: list[int], entry: dict[str, Any]) -> list[Any]:
    """The values in row-major order, sent flat or as rows."""
    values = entry.get("data")
    parameters = entry.get("parameters")
    if values is None and type(parameters) is dict and "binary_data_size" in parameters:
        raise BadInput(
            f"The input '{name}' is a binary tensor, which is not read yet.",
            "Send the values as JSON (tritonclient: set_data_from_numpy(..., binary_data=False)).",
            column=name,
        )
    if type(values) is not list:
        raise BadInput(
            f"The 'data' of the input '{name}' must be a list.", 'Send "data": [1, 2].', column=name
        )
    if values and type(values[0]) is list:
        wide = shape[1] if len(shape) == 2 else 1
        if len(values) != shape[0] or not all(type(row) is list and len(row) == wide for row in values):
            raise BadInput(
                f"The 'data' of the input '{name}' does not have the shape {shape}.",
                "Send as many rows and columns as the shape says.",
                column=name,
            )
        values = list(chain.from_iterable(values))
    if len(values) != prod(shape):
        raise BadInput(
            f"The input '{name}' has {len(values)} values, but its shape {shape} means {prod(shape)}.",
            "Make the shape and the data agree.",
            column=name,
        )
    return values


def render(prediction: Prediction, asked: Asked, request_id: str) -> bytes:
    """The infer response; raises BadInput for an output that the model does not have."""
    values, labels = prediction.values, prediction.signature.labels
    available = _outputs(prediction.signature)
    outputs = []
    for name in asked.outputs or available:
        if name not in available:
            raise BadInput(
                f"The model has no output '{name}'.", f"It has: {', '.join(available)}.", column=name
            )
        datatype, shape = available[name]
        data: Any = values.ravel()
        if name == "label":
            data = [labels[index] for index in np.argmax(values, axis=1).tolist()]
        outputs.append({"name": name, "shape": [len(values), *shape[1:]], "datatype": datatype, "data": data})
    body = {
        "model_name": prediction.model,
        "model_version": str(prediction.version),
        "id": asked.id or request_id,
        "outputs": outputs,
    }
    return wire.dumps(body)
