"""What figures mean, in words for somebody who runs a shop: used by the report and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Word:
    """A metric in plain words: its name, the technical term, how to read it, and whether it is a share."""

    plain: str
    term: str
    reading: str
    share: bool


METRICS: dict[str, Word] = {
    "auc": Word(
        "Ranking quality", "AUC",
        "Given one row of each kind, how often the model ranks them the right way round. "
        "50 % is a coin toss, 100 % is perfect.",
        True,
    ),
    "accuracy": Word(
        "Right answers", "accuracy", "Share of rows where the most likely answer is right.", True,
    ),
    "f1": Word(
        "Balance of hits and false alarms", "F1",
        "High only when the model both finds the rows it should and rarely cries wolf. 100 % is perfect.",
        True,
    ),
    "logloss": Word(
        "Surprise at the truth", "log loss",
        "How far off the stated probabilities were; being sure and wrong costs most. Lower is better.", False,
    ),
    "brier": Word(
        "Error of the probabilities", "Brier score",
        "Mean squared gap between what was said and what happened. 0 is perfect; lower is better.", False,
    ),
    "rmse": Word(
        "Typical error", "RMSE",
        "How far a prediction is from the truth, in the target's own unit; large misses weigh more. "
        "Lower is better.", False,
    ),
    "mae": Word(
        "Average miss", "MAE",
        "The average distance between prediction and truth, in the target's own unit. Lower is better.",
        False,
    ),
    "r2": Word(
        "Ups and downs explained", "R²",
        "Share of the variation that the model accounts for. 0 % is no better than the average.", True,
    ),
}  # fmt: skip

RULES = {
    "beats_baseline": "Better than guessing",
    "not_worse_than_champion": "Not worse than the model in use",
    "export_parity": "Exported faithfully",
    "latency": "Fast enough",
    "too_good_to_be_true": "Not suspiciously good",
}
ALGORITHMS = {
    "linear": "Linear model", "lightgbm": "Boosted trees (LightGBM)", "mlp": "Neural network (MLP)",
}  # fmt: skip
VERDICTS = {
    "pass": "This model may go live.",
    "warn": "This model may go live, but somebody should look at the warning first.",
    "undecided": "There is not enough evidence to decide whether this model may go live.",
    "fail": "This model should not go live.",
}


def verdict_sentence(verdict: str) -> str:
    return VERDICTS[verdict]


def figure(value: float | None, share: bool = False) -> str:
    """A number as a person writes it: "93.1 %", "12,400", "0.0312"; a dash where there is none."""
    if value is None:
        return "–"
    if share:
        return f"{100 * value + 0.0:.1f} %".replace("-0.0 %", "0.0 %")
    size = abs(value)
    if size >= 1e9 or (0 < size < 1e-4):
        return f"{value:.2g}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if size >= 0.01 or size == 0 else f"{value:.4f}"


def between(one: Mapping[str, float | None], share: bool = False) -> str:
    """An interval: "92.5 % to 93.7 %"; empty where there is none."""
    if one.get("low") is None or one.get("high") is None:
        return ""
    return f"{figure(one['low'], share)} to {figure(one['high'], share)}"


def meaning(body: Mapping[str, Any]) -> str:
    """Two or three sentences: how good, against what, how sure. `body`: the report's JSON."""
    rows = f"{body['holdout']['rows']:,}"
    metrics, guess = body["metrics"], body["baseline"]
    sure = (
        f"With other rows of the same kind it would most likely be between {{}} (95 % interval, {rows} rows)."
    )
    if body["task"] == "regression":
        typical, base = metrics["mae"], guess["mae"]
        text = f"On {rows} rows that it had never seen, the predictions of {body['target']} were off by "
        text += (
            f"{figure(typical['value'])} on average (always saying the average: {figure(base['value'])}). "
        )
        return text + sure.format(between(typical).replace(" to ", " and ")) if between(typical) else text
    right, base = metrics["accuracy"], guess["accuracy"]
    text = (
        f"On {rows} rows that it had never seen, it gave the right answer {figure(right['value'], True)} of "
    )
    text += f"the time (always giving the most common answer: {figure(base['value'], True)}). "
    if between(right):
        text += sure.format(between(right, True).replace(" to ", " and "))
    return text
