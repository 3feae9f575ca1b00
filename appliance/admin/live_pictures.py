"""The charts of models in use, as data for the page's scripts (web/README.md says the shapes)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.admin.language import _
from appliance.admin.pictures import Picture

_MOST = 12  # bars; the rest are no news

Row = Mapping[str, Any]


def over_time(traffic: Row) -> list[Picture]:
    """Requests and times of a span; nothing where nobody asked."""
    series = traffic["series"]
    if not any(one["requests"] for one in series):
        return []
    at = [one["at"] for one in series]
    answered = [sum(n for status, n in one["statuses"].items() if int(status) < 400) for one in series]
    failed = [one["failed"] for one in series]
    other = [one["requests"] - good - bad for one, good, bad in zip(series, answered, failed, strict=True)]
    curves = [(_("answered"), answered, "accent"), (_("turned down"), other, "soft")]
    curves += [(_("failed"), failed, "bad")]
    requests = {
        "at": at,
        "step": traffic["step"],
        "bars": True,
        "y": _("requests"),
        "series": [
            {"name": name, "values": values, "tone": tone}
            for name, values, tone in curves
            if tone == "accent" or any(values)
        ],
    }
    times = {
        "at": at,
        "step": traffic["step"],
        "y": _("milliseconds"),
        "series": [
            {"name": _("typical"), "values": [one["p50_ms"] for one in series], "tone": "accent"},
            {"name": _("slow"), "values": [one["p99_ms"] for one in series], "tone": "whisker"},
        ],
    }
    counted = _("Answered: %(good)s. Turned down, as the request was wrong: %(other)s. Failed: %(bad)s.") % {
        "good": f"{sum(answered):,}",
        "other": f"{sum(other):,}",
        "bad": f"{sum(failed):,}",
    }
    slow = _("Typical: half of the requests were faster. Slow: one in a hundred was slower.")
    return [
        Picture("times", _("Requests"), _("traffic"), counted, requests),
        Picture("times", _("How long an answer takes"), _("latency, p50 and p99"), slow, times),
    ]


def changes(found: Row, labels: Sequence[str], floor: float) -> list[Picture]:
    """How much each column, and each answer, differs from the training data; the most changed first."""
    pictures = []
    if found["features"]:
        summary = _(
            "0 is as in training; from the dashed line on (%(floor)s) a change counts, 0.25 is a large one."
        )
        data = _bars(found["features"], floor)
        pictures.append(
            Picture(
                "bars",
                _("What is asked, column by column"),
                _("drift by feature"),
                summary % {"floor": f"{floor:g}"},
                data,
            )
        )
    if found["answers"]:
        named = [{**one, "name": _label(one["name"], labels)} for one in found["answers"]]
        summary = _("Whether it gives other answers, or others as often, as on the rows it was tested with.")
        pictures.append(
            Picture("bars", _("What it answers"), _("drift of the score"), summary, _bars(named, floor))
        )
    return pictures


def course(history: Sequence[Row], floor: float) -> Picture | None:
    """The largest change of each judged look, oldest first; nothing to draw of a single one."""
    judged = [one for one in reversed(history) if one["features"] or one["answers"]]
    if len(judged) < 2:
        return None
    largest = [max(each["score"] for each in (*one["features"], *one["answers"])) for one in judged]
    data = {
        "at": [one["window"]["to"] for one in judged],
        "y": _("largest change"),
        "guide": floor,
        "series": [{"name": _("largest change"), "values": largest, "tone": "accent"}],
    }
    summary = _("The most changed column or answer of each look. Above the dashed line a change counts.")
    return Picture("times", _("How it went on"), _("drift over time"), summary, data)


def _bars(rows: Sequence[Row], floor: float) -> dict[str, Any]:
    shown = rows[:_MOST]
    return {
        "names": [one["name"] for one in shown],
        "values": [one["score"] for one in shown],
        "marked": sum(one["drifted"] for one in shown),
        "guide": floor,
        "x": _("change (PSI)"),
    }


def _label(number: str, labels: Sequence[str]) -> str:
    """What an output of the model is called; a regression has one, without a name."""
    at = int(number)
    return str(labels[at]) if at < len(labels) else _("the number")
