"""Paths of the endpoint and what they mean. Pure: a path in, a Route out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote

from appliance.errors import BadInput, NotFound


class Door(Enum):
    """What a path asks for."""

    LIVE = auto()  # the process runs
    READY = auto()  # it can answer
    METRICS = auto()  # Prometheus text
    SERVER = auto()  # name and version of the server
    V2_LIVE = auto()
    V2_READY = auto()
    MODELS = auto()  # names of the deployed models
    MODEL = auto()  # inputs and outputs of a model
    MODEL_READY = auto()
    INFER = auto()  # V2 inference
    PREDICT = auto()  # named-column inference


READS = ("GET", "HEAD")
VERBS: dict[Door, tuple[str, ...]] = {
    door: ("POST",) if door in (Door.INFER, Door.PREDICT) else READS for door in Door
}


@dataclass(frozen=True, slots=True)
class Route:
    door: Door
    model: str = ""
    version: int | None = None


_FIXED: dict[str, Route] = {
    "/healthz": Route(Door.LIVE),
    "/readyz": Route(Door.READY),
    "/metrics": Route(Door.METRICS),
    "/v2": Route(Door.SERVER),
    "/v2/health/live": Route(Door.V2_LIVE),
    "/v2/health/ready": Route(Door.V2_READY),
    "/v2/models": Route(Door.MODELS),
}
_LAST: dict[str, Door] = {"ready": Door.MODEL_READY, "infer": Door.INFER}


def find(path: str) -> Route:
    """The route of a path (one trailing slash is forgiven). Raises NotFound with what there is instead."""
    if path.endswith("/") and len(path) > 1:
        path = path[:-1]
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    parts = [unquote(part) for part in path.split("/")[1:]]
    match parts:
        case ["predict", model] if model:
            return Route(Door.PREDICT, model)
        case ["v2", "models", model] if model:
            return Route(Door.MODEL, model)
        case ["v2", "models", model, last] if model and last in _LAST:
            return Route(_LAST[last], model)
        case ["v2", "models", model, "versions", version] if model:
            return Route(Door.MODEL, model, _version(version))
        case ["v2", "models", model, "versions", version, last] if model and last in _LAST:
            return Route(_LAST[last], model, _version(version))
    raise NotFound(
        f"There is nothing at {path[:100]}.",
        "Predict with POST /predict/MODEL or POST /v2/models/MODEL/infer; see docs/serving.md.",
    )


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(
            f"'{text[:40]}' is not a version: versions are whole numbers.", "For example versions/3."
        )
    return int(text)
