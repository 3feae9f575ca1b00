"""Which pictures a report has, made from its JSON with the small plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from appliance.validation.plots import Axis, Line, bars, columns, dots, lines, plot, whiskers
from appliance.validation.words import METRICS

MOST_BARS = 20

Picture = tuple[str, str, str, str]  # plain title, technical term, how to read it, SVG


def of(report: Mapping[str, Any]) -> Iterator[Picture]:
    """The pictures of a report, most telling first. Names inside are escaped."""
    data = report["plots"]
    if report["calibration"] and report["calibration"]["bins"]:
        yield _calibration(report)
    if "roc" in data:
        yield _roc(data["roc"])
        yield _precision_recall(data["precision_recall"], report)
    if "predicted_actual" in data:
        yield _predicted_actual(data["predicted_actual"], str(report["target"]))
        yield _residuals(data["residuals"], str(report["target"]))


def importance(report: Mapping[str, Any]) -> str:
    """Bars of the most important columns."""
    word = METRICS[report["metric"]]
    rows = [
        (str(one["column"]), one["drop"] or 0.0, one["error"]) for one in report["importance"][:MOST_BARS]
    ]
    unit = ", in the target's unit" if report["task"] == "regression" else ""
    return bars("Importance of each column", rows, f"worse by ({word.term}{unit})")


def _calibration(report: Mapping[str, Any]) -> Picture:
    bins = report["calibration"]["bins"]
    said, seen = [one["predicted"] for one in bins], [one["observed"] for one in bins]
    of_what = f"“{report['labels'][1]}”" if report["task"] == "binary" else "being right"
    x, y = Axis("what the model says", 0, 1, percent=True), Axis("what happened", 0, 1, percent=True)
    body = lines(x, y, [Line([0, 1], [0, 1], "guide")])
    body += whiskers(x, y, said, [one["low"] for one in bins], [one["high"] for one in bins])
    body += lines(x, y, [Line(said, seen)]) + dots(x, y, said, seen, 3)
    gap = f"{100 * report['calibration']['ece']:.1f}"
    reading = f"How far its stated chances of {escape(of_what)} can be taken at their word. On the "
    reading += "dashed line they "
    reading += f"are exact; the average gap is {gap} percentage points."
    return "Can its percentages be trusted?", "calibration", reading, plot("Calibration", x, y, body)


def _roc(data: Mapping[str, Any]) -> Picture:
    x, y = Axis("false alarms", 0, 1, percent=True), Axis("found", 0, 1, percent=True)
    body = lines(x, y, [Line([0, 1], [0, 1], "guide"), Line(data["false_positive"], data["true_positive"])])
    reading = (
        "The more of the cases one wants to find, the more false alarms come along. The closer to the upper "
    )
    reading += "left corner the better; the dashed line is guessing."
    return "Finding against false alarms", "ROC curve", reading, plot("ROC curve", x, y, body)


def _precision_recall(data: Mapping[str, Any], report: Mapping[str, Any]) -> Picture:
    x, y = Axis("found (recall)", 0, 1, percent=True), Axis("right among named", 0, 1, percent=True)
    counts = report["holdout"]["class_rows"]
    share = counts[report["labels"][1]] / max(1, sum(counts.values()))
    body = lines(x, y, [Line([0, 1], [share, share], "guide"), Line(data["recall"], data["precision"])])
    reading = (
        "Of the rows it names, how many are right, as it is asked to find more of them. The dashed line is "
    )
    reading += "naming rows at random."
    return (
        "How clean its findings are",
        "precision and recall",
        reading,
        plot("Precision and recall", x, y, body),
    )


def _predicted_actual(data: Mapping[str, Any], target: str) -> Picture:
    both = [*data["predicted"], *data["actual"]]
    low, high = min(both), max(both)
    pad = 0.03 * (high - low) or 1.0
    x = Axis(f"predicted {_short(target)}", low - pad, high + pad)
    y = Axis(f"actual {_short(target)}", low - pad, high + pad)
    body = lines(x, y, [Line([x.low, x.high], [y.low, y.high], "guide")])
    body += dots(x, y, data["predicted"], data["actual"])
    reading = f"{len(data['actual'])} of the held-out rows. On the dashed line a prediction is exact."
    return "Predicted and actual", "scatter plot", reading, plot("Predicted and actual", x, y, body)


def _residuals(data: Mapping[str, Any], target: str) -> Picture:
    edges, counts = data["edges"], data["counts"]
    x = Axis(f"predicted minus actual {_short(target)}", edges[0], edges[-1])
    y = Axis("rows", 0, max(counts) * 1.05 or 1.0)
    body = columns(x, y, edges, counts)
    if edges[0] < 0 < edges[-1]:
        body += lines(x, y, [Line([0, 0], [y.low, y.high], "guide")])
    reading = (
        "How far off the predictions are. Around the dashed line the model is neither too high nor too low."
    )
    return "Size of the errors", "residuals", reading, plot("Residuals", x, y, body)


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"
