"""`/predict/MODEL`: rows with named columns in, a labelled answer a row out.

    {"rows": [{"age": 39, "job": "clerk"}]}
    {"model", "version", "request_id", "predictions": [{"label", "probability", "probabilities": {label: p}}]}

and `[{"value"}]` for a model that predicts a number. A probability that is no number is written as null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appliance.data.signature import Signature
from appliance.errors import BadInput
from appliance.inference import wire
from appliance.inference.plane import Prediction

_SHAPE = 'Send {"rows": [{"column": value, ...}, ...]}.'


@dataclass(slots=True)
class Asked:
    """A parsed request: `n` rows, as keyword arguments of Plane.infer."""

    n: int
    given: dict[str, Any]


def parse(body: bytes, signature: Signature) -> Asked:
    """Raises BadInput naming the part that is wrong; the rows' values are the signature's to judge, later."""
    del signature  # the other door's parse needs it
    document = wire.loads(body)
    rows = document.get("rows")
    if len(document) != 1 or type(rows) is not list:
        extra = [key for key in document if key != "rows"]
        if extra:
            raise BadInput(f"The request has an unknown part: '{extra[0]}'.", _SHAPE)
        raise BadInput(
            "The request has no 'rows'." if rows is None else "The 'rows' of the request must be a list.",
            _SHAPE,
        )
    return Asked(len(rows), {"rows": rows})


def render(prediction: Prediction, asked: Asked, request_id: str) -> bytes:
    del asked  # the other door's render needs it
    labels = prediction.signature.labels
    answers: list[dict[str, Any]]
    if labels:
        answers = []
        for row in prediction.values.tolist():
            top = max(row)
            answers.append(
                {
                    "label": labels[row.index(top)],
                    "probability": top,
                    "probabilities": dict(zip(labels, row, strict=True)),
                }
            )
    else:
        answers = [{"value": row[0]} for row in prediction.values.tolist()]
    return wire.dumps(
        {
            "model": prediction.model,
            "version": prediction.version,
            "request_id": request_id,
            "predictions": answers,
        }
    )
