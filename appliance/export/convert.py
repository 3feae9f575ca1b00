"""Which exporter a fitted candidate takes."""

from __future__ import annotations

from typing import Any, Protocol

from appliance.errors import BadInput
from appliance.export.layers import export_layers
from appliance.export.trees import export_trees


class FittedLike(Protocol):
    """A fitted candidate, as `training` makes it."""

    @property
    def algorithm(self) -> str: ...
    @property
    def estimator(self) -> Any: ...
    @property
    def target_mean(self) -> float: ...
    @property
    def target_scale(self) -> float: ...


def to_onnx(fitted: FittedLike, width: int) -> bytes:
    """ONNX bytes of a fitted candidate over `width` encoded columns. BadInput if it has no exporter."""
    match fitted.algorithm:
        case "lightgbm":
            return export_trees(fitted.estimator, width, fitted.target_mean, fitted.target_scale)
        case "linear" | "mlp":
            return export_layers(fitted.estimator, width)
        case other:
            raise BadInput(
                f"A model of the kind '{other}' cannot be exported.", "Train lightgbm, linear or mlp."
            )
