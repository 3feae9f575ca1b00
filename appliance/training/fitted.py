"""What training gives: a fitted candidate that predicts, and the plain layers of those that have them.

`Fitted.predict` is the reference that every exported graph is held to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature
from appliance.training.preparation import Preparation
from appliance.training.tasks import Task

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Predict = Callable[[Floats], Doubles]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Rows:
    """Encoded rows and their targets: x float32[n, d]; y int64[n] class codes or float64[n]."""

    x: Floats
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: NDArray[Any]) -> Rows:
        return Rows(np.ascontiguousarray(self.x[index]), self.y[index])


@dataclass(frozen=True)
class Plan:
    """Everything a trainer is told besides the rows."""

    features: Sequence[Feature]
    task: Task
    classes: int  # k; 1 for regression
    seed: int = 0
    threads: int = 1
    deadline: float = float("inf")  # time.monotonic() seconds; a trainer stops early, it never fails for it
    progress: Progress = lambda fraction: None


@dataclass(frozen=True)
class Fitted:
    """A fitted candidate.

    `predict` maps float32[n, d] to float64[n, k] probabilities, or float64[n, 1] values in the target's
    own unit. `settings` are what a refit needs to repeat it without a validation part (rounds, epochs,
    strength). `estimator` is a lightgbm Booster or a Layers.
    """

    algorithm: str
    params: dict[str, Any]
    estimator: Any
    predict: Predict
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    target_mean: float = 0.0  # what is added to a regression's raw output,
    target_scale: float = 1.0  # after it was multiplied by this


class Trainer(Protocol):
    """One kind of model."""

    name: str

    def fit(self, rows: Rows, valid: Rows | None, plan: Plan, settings: dict[str, Any]) -> Fitted:
        """Fit on `rows`; stop early on `valid`, or, without it, repeat `settings` of an earlier fit."""
        ...


@dataclass(frozen=True)
class Layers:
    """A linear model (one layer) or a network as plain matrices: relu between layers, `output` at the end.

    output: "sigmoid" (one raw column, gives [1-p, p]), "softmax", or "identity" (then times target_scale
    plus target_mean).
    """

    preparation: Preparation
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    output: str
    target_mean: float = 0.0
    target_scale: float = 1.0

    def predict(self, x: Floats) -> Doubles:
        """float64[n, k] probabilities or float64[n, 1] values; in blocks, so that memory stays bounded."""
        blocks = [self._predict(x[start : start + 8192]) for start in range(0, max(len(x), 1), 8192)]
        return np.concatenate(blocks)

    def _predict(self, x: Floats) -> Doubles:
        hidden = self.preparation.transform(x).astype(np.float64)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = hidden @ weight + bias
            if index < len(self.weights) - 1:
                np.maximum(hidden, 0.0, out=hidden)
        if self.output == "sigmoid":
            positive = 0.5 * (1.0 + np.tanh(0.5 * hidden[:, 0]))
            return np.stack([1.0 - positive, positive], axis=1)
        if self.output == "softmax":
            raised: Doubles = np.exp(hidden - hidden.max(axis=1, keepdims=True))
            shares: Doubles = raised / raised.sum(axis=1, keepdims=True)
            return shares
        values: Doubles = hidden * self.target_scale + self.target_mean
        return values


def loss(predicted: Doubles, y: NDArray[Any], task: Task) -> float:
    """What early stopping watches: log loss in nats, or mean squared error. Lower is better."""
    if task is Task.REGRESSION:
        return float(np.mean((predicted[:, 0] - y) ** 2))
    chosen = predicted[np.arange(len(y)), y]
    return float(-np.log(np.clip(chosen, 1e-15, 1.0)).mean())


def standard(y: NDArray[Any], task: Task) -> tuple[float, float]:
    """Mean and scale that bring a regression target near 0 and 1; (0, 1) for classes."""
    if task is not Task.REGRESSION:
        return 0.0, 1.0
    scale = float(np.std(y))
    return float(np.mean(y)), scale if scale > 0 else 1.0
