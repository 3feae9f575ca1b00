"""The charts of a report, as data for the page's scripts (web/README.md says the shapes)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.admin.language import _
from appliance.validation.words import METRICS

MOST_BARS = 20


@dataclass(frozen=True)
class Picture:
    """One chart: what it shows in plain words, the technical term, how to read it."""

    kind: str
    title: str
    term: str
    summary: str
    data: dict[str, Any]


def of(report: Mapping[str, Any]) -> list[Picture]:
    """All curves of a report, most telling first."""
    return list(_all(report))


def importance(report: Mapping[str, Any]) -> Picture | None:
    """What the model goes by, column by column."""
    rows = report["importance"][:MOST_BARS]
    if not rows:
        return None
    word = METRICS[report["metric"]]
    data = {
        "names": [str(one["column"]) for one in rows],
        "values": [one["drop"] or 0.0 for one in rows],
        "errors": [one["error"] or 0.0 for one in rows],
        "x": _("worse by (%s)") % word.term,
    }
    summary = _(
        "How much worse it gets when a column's values are shuffled. What it uses, not what causes what."
    )
    return Picture("bars", _("What it goes by"), _("permutation importance"), summary, data)


def _all(report: Mapping[str, Any]) -> Iterator[Picture]:
    plots, target = report["plots"], str(report["target"])
    if report["calibration"] and report["calibration"]["bins"]:
        yield _calibration(report["calibration"])
    if "roc" in plots:
        yield _roc(plots["roc"])
        yield _precision(plots["precision_recall"], report)
    if "predicted_actual" in plots:
        yield _scatter(plots["predicted_actual"], target)
        yield _residuals(plots["residuals"], target)


def _calibration(found: Mapping[str, Any]) -> Picture:
    data = {
        "predicted": [one["predicted"] for one in found["bins"]],
        "observed": [one["observed"] for one in found["bins"]],
        "low": [one["low"] for one in found["bins"]],
        "high": [one["high"] for one in found["bins"]],
        "x": _("what the model says"),
        "y": _("what happened"),
    }
    summary = _("On the dashed line its stated chances are exact; the average gap is %.1f percentage points.")
    return Picture(
        "calibration",
        _("Can its percentages be trusted?"),
        _("calibration"),
        summary % (100 * found["ece"]),
        data,
    )


def _roc(found: Mapping[str, Any]) -> Picture:
    data = _curves(
        [(_("this model"), found["false_positive"], found["true_positive"]), (_("guessing"), [0, 1], [0, 1])],
        _("false alarms"),
        _("found"),
    )
    summary = _(
        "The more cases one wants to find, the more false alarms come along. Further up and left is better."
    )
    return Picture("line", _("Finding against false alarms"), _("ROC curve"), summary, data)


def _precision(found: Mapping[str, Any], report: Mapping[str, Any]) -> Picture:
    counts = report["holdout"]["class_rows"]
    share = counts[report["labels"][1]] / max(1, sum(counts.values()))
    data = _curves(
        [
            (_("this model"), found["recall"], found["precision"]),
            (_("naming rows at random"), [0, 1], [share, share]),
        ],
        _("found (recall)"),
        _("right among those named (precision)"),
    )
    summary = _("Of the rows that it names, how many are right, as it is asked to find more of them.")
    return Picture("line", _("How clean its findings are"), _("precision and recall"), summary, data)


def _scatter(found: Mapping[str, Any], target: str) -> Picture:
    data = {
        "x": found["predicted"],
        "y": found["actual"],
        "xtitle": _("predicted %s") % _short(target),
        "ytitle": _("actual %s") % _short(target),
        "diagonal": True,
    }
    summary = _("Rows that it had never seen. On the dashed line a prediction is exact.")
    return Picture("scatter", _("Predicted and actual"), _("scatter plot"), summary, data)


def _residuals(found: Mapping[str, Any], target: str) -> Picture:
    data = {
        "edges": found["edges"],
        "counts": found["counts"],
        "x": _("predicted minus actual %s") % _short(target),
        "y": _("rows"),
    }
    summary = _("How far off the predictions are; around 0 it is neither too high nor too low.")
    return Picture("histogram", _("Size of the errors"), _("residuals"), summary, data)


def _curves(series: list[tuple[str, list[float], list[float]]], x: str, y: str) -> dict[str, Any]:
    """The first is the model's, the second a guide; both axes are shares."""
    return {
        "series": [
            {"name": name, "x": xs, "y": ys, "guide": index > 0}
            for index, (name, xs, ys) in enumerate(series)
        ],
        "x": {"title": x, "low": 0, "high": 1, "percent": True},
        "y": {"title": y, "low": 0, "high": 1, "percent": True},
    }


def _short(name: str) -> str:
    return name if len(name) <= 30 else name[:29] + "…"
