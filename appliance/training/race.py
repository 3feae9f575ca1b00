"""One training: candidates race on an inner validation part, the winner learns from all training rows.

Small tables race by five-fold cross-validation (one split of a few dozen rows would be a coin toss),
larger ones on one stratified fifth. The hold-out takes no part. Budget and progress are respected:
a candidate is stopped early rather than late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from lightgbm.basic import LightGBMError
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from appliance.data.signature import Feature
from appliance.errors import BadInput
from appliance.training.candidates import chosen
from appliance.training.fitted import Fitted, Floats, Plan, Rows, Trainer, loss
from appliance.training.tasks import Task

FOLDS = 5
SMALL = 5000  # rows up to which all FOLDS are used
FEWEST_ROWS = 20
PRIMARY = {Task.BINARY: "auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "rmse"}

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Runner:
    """How one candidate did. `score` is the primary metric on rows it did not learn from; None: it failed."""

    algorithm: str
    metric: str
    score: float | None
    loss: float | None
    seconds: float
    won: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """The winner, refitted on all training rows (`refitted`; otherwise as it raced), and the race."""

    fitted: Fitted
    race: tuple[Runner, ...]
    refitted: bool
    seconds: float

    def race_json(self) -> list[dict[str, Any]]:
        return [asdict(runner) for runner in self.race]


def train(
    x: Floats,
    y: NDArray[Any],
    features: Sequence[Feature],
    task: str,
    labels: Sequence[str] = (),
    *,
    algorithm: str = "auto",
    seed: int = 0,
    budget_seconds: float = 300.0,
    threads: int = 1,
    progress: Report = lambda fraction, phase: None,
) -> Outcome:
    """Train on float32[n, d] (NaN = missing) and y (int64[n] class codes of `labels`, or float64[n]).

    `algorithm`: "auto" (race all) or one name. `progress(fraction, phase)` may raise to stop the work.
    Raises BadInput: too few rows, no features, unknown algorithm, classes that are not there.
    """
    began = time.monotonic()
    trainers = chosen(algorithm)
    kind = Task(task)
    rows = Rows(np.ascontiguousarray(x, np.float32), y)
    _check(rows, features, kind, labels)
    plan = Plan(features, kind, max(1, len(labels)), seed, threads)
    # The refit takes about as long as a fold did, so one share of the time is kept for it.
    share = budget_seconds / (len(trainers) + 1)
    raced: list[tuple[Runner, Fitted | None]] = []
    for index, trainer in enumerate(trainers):
        span = (index / (len(trainers) + 1), 1 / (len(trainers) + 1))
        phase = f"trying {trainer.name}" + (f" ({index + 1} of {len(trainers)})" if len(trainers) > 1 else "")
        deadline = began + share * (index + 1)
        raced.append(_run(trainer, rows, replace(plan, deadline=deadline), span, phase, progress))
    fitted_ones = [(runner, fitted) for runner, fitted in raced if fitted is not None]
    if not fitted_ones:
        reasons = "; ".join(f"{runner.algorithm}: {runner.why}" for runner, _ in raced)
        raise BadInput(
            f"No model could be trained ({reasons}).", "Check the data set's profile for odd columns."
        )
    winner, fitted = min(fitted_ones, key=lambda pair: _order(pair[0]))
    start = len(trainers) / (len(trainers) + 1)
    phase = f"training {winner.algorithm} on all rows"
    refit = began + budget_seconds > time.monotonic() + fitted.seconds * 1.5
    if refit:
        progress(start, phase)
        trainer = next(one for one in trainers if one.name == winner.algorithm)
        final = replace(
            plan,
            deadline=began + budget_seconds,
            progress=_part_of(progress, phase, start, 1 - start),
        )
        fitted = trainer.fit(rows, None, final, winner.settings)
    race = tuple(replace(runner, won=runner is winner) for runner, _ in raced)
    progress(1.0, "trained")
    return Outcome(fitted, race, refit, time.monotonic() - began)


def folds(y: NDArray[Any], task: Task, seed: int) -> list[NDArray[np.bool_]]:
    """Validation masks bool[n]: five that cover all rows once, or one fifth when there are many rows.

    Stratified: each class is spread over the folds as evenly as it goes.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    if task is not Task.REGRESSION:
        order = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), np.int64)
    fold[order] = np.arange(len(y)) % FOLDS
    return [fold == number for number in range(FOLDS if len(y) <= SMALL else 1)]


def _run(
    trainer: Trainer, rows: Rows, plan: Plan, span: tuple[float, float], phase: str, report: Report
) -> tuple[Runner, Fitted | None]:
    """One candidate over the folds: scored on all rows that were held back, taken together."""
    began = time.monotonic()
    start, width = span
    metric = PRIMARY[plan.task]
    masks = folds(rows.y, plan.task, plan.seed)
    held: list[tuple[NDArray[np.float64], NDArray[Any]]] = []
    fits: list[Fitted] = []
    for number, mask in enumerate(masks):
        if fits and time.monotonic() + fits[-1].seconds > plan.deadline:
            break
        base = start + width * number / len(masks)
        part = replace(
            plan,
            deadline=began + (plan.deadline - began) * (number + 1) / len(masks),
            progress=_part_of(report, phase, base, width / len(masks)),
        )
        report(base, phase)
        valid = rows.take(mask)
        try:
            fitted = trainer.fit(rows.take(~mask), valid, part, {})
        except (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError, LightGBMError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            return Runner(trainer.name, metric, None, None, time.monotonic() - began, why=why), None
        fits.append(fitted)
        held.append((fitted.predict(valid.x), valid.y))
    predicted, actual = np.concatenate([p for p, _ in held]), np.concatenate([a for _, a in held])
    score, lost = _score(predicted, actual, plan.task), loss(predicted, actual, plan.task)
    settings = _typical([fitted.settings for fitted in fits])
    seconds = time.monotonic() - began
    return Runner(trainer.name, metric, score, lost, seconds, settings=settings), fits[-1]


def _part_of(report: Report, phase: str, start: float, width: float) -> Callable[[float], None]:
    """A trainer's own progress 0..1 as a part of the whole."""
    return lambda done: report(start + width * done, phase)


def _typical(settings: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings for the refit: the median over the folds, which one lucky fold cannot rule."""
    names = settings[0]
    return {name: sorted(one[name] for one in settings)[len(settings) // 2] for name in names}


def _score(predicted: NDArray[np.float64], y: NDArray[Any], task: Task) -> float:
    if task is Task.REGRESSION:
        return float(np.sqrt(np.mean((predicted[:, 0] - y) ** 2)))
    if task is Task.MULTICLASS:
        return float(np.mean(predicted.argmax(axis=1) == y))
    return float(roc_auc_score(y, predicted[:, 1])) if len(np.unique(y)) == 2 else 0.5


def _order(runner: Runner) -> tuple[float, float]:
    """Sort key, best first: the primary metric, then the loss."""
    assert runner.score is not None
    assert runner.loss is not None
    return (runner.score if runner.metric == "rmse" else -runner.score), runner.loss


def _check(rows: Rows, features: Sequence[Feature], task: Task, labels: Sequence[str]) -> None:
    if not features:
        raise BadInput(
            "There is no column left to learn from.", "Keep at least one column besides the target."
        )
    if rows.x.shape != (len(rows.y), len(features)):
        raise ValueError(f"x is {rows.x.shape}, y {rows.y.shape}, features {len(features)}")
    if len(rows) < FEWEST_ROWS:
        raise BadInput(
            f"Only {len(rows)} rows are there to learn from; at least {FEWEST_ROWS} are needed.",
            "Import more rows; a few hundred give a first useful model.",
        )
    if task is not Task.REGRESSION:
        counts = np.bincount(rows.y, minlength=len(labels))
        if len(counts) != len(labels) or (counts > 0).sum() < 2:
            raise BadInput(
                "The rows to learn from hold fewer than two classes.",
                "Use a data set in which every answer occurs several times.",
            )
        if task is Task.BINARY and counts.min() < 2:
            rare = labels[int(counts.argmin())]
            raise BadInput(
                f"The answer '{rare}' occurs only once among the rows to learn from.",
                "Import more rows of that kind.",
            )
