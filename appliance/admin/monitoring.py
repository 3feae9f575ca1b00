"""Models in use: traffic, times, whether what they are asked has changed, kept predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, request

from appliance.admin import live_pictures, words
from appliance.admin.advice import watch_over
from appliance.admin.language import N_
from appliance.admin.rendering import _, ask, can, page, site
from appliance.doors import access
from appliance.errors import NotFound

blueprint = Blueprint("monitoring", __name__)

SPANS = ((1, N_("1 hour")), (24, N_("24 hours")), (168, N_("7 days")), (720, N_("30 days")))
_USUAL = 24
_PREDICTIONS = 10
_WINDOWS = 60
_UNASKED = {"requests": 0, "rows": 0, "failed": 0, "refused": 0, "p50_ms": None, "p99_ms": None}
_MOST_ROWS = 5  # rows of one request that are shown side by side


@blueprint.get("/monitoring")
@access.needs("traffic")
def monitoring() -> Any:
    """Every model in use on a line."""
    hours = _hours()
    status, traffic, alerts = ask("status"), ask("traffic", hours=hours), ask("alert.ls")
    live = [one["model"] for one in ask("deployment.ls")]
    asked = [one["model"] for one in ask("model.ls") if one["model"] in traffic["models"]]
    rows = [
        {
            "model": model,
            "meter": traffic["models"].get(model, _UNASKED),
            "drift": _drift(model) if model in live else None,
            "alert": any(alert["model"] == model for alert in alerts),
        }
        for model in dict.fromkeys([*live, *asked])
    ]
    return page(
        "monitoring.html",
        advice=watch_over(status, traffic, alerts, len(live)),
        rows=rows,
        unknown=traffic["unknown"],
        workers=status["roles"]["inference"],
        charts=live_pictures.over_time(traffic),
        **_common(hours),
    )


@blueprint.get("/monitoring/<model>")
@access.needs("drift")
def monitored(model: str) -> Any:
    """One model: its traffic, what has changed in what it is asked, its newest predictions."""
    hours = _hours()
    live = ask("deployment.show", model=model)["live"]
    traffic = ask("traffic", model=model, hours=hours)
    found = _drift(model, windows=_WINDOWS) if live else None
    labels = ask("model.show", model=f"{model}:{live['version']}")["signature"]["labels"] if live else []
    floor = site().app.home.config.drift.psi
    return page(
        "monitored.html",
        model=model,
        live=live,
        meter=traffic["models"].get(model, _UNASKED),
        charts=live_pictures.over_time(traffic),
        found=found,
        floor=floor,
        drifted=[one["name"] for one in found["features"] if one["drifted"]] if found else [],
        answers_drifted=found is not None and any(one["drifted"] for one in found["answers"]),
        changes=live_pictures.changes(found, labels, floor) if found else [],
        course=live_pictures.course(found["history"], floor) if found else None,
        alert=next((one for one in ask("alert.ls") if one["model"] == model), None),
        predictions=_predictions(model) if can("prediction.ls") else None,
        **_common(hours),
    )


@blueprint.get("/monitoring/<model>/predictions/<request_id>")
@access.needs("prediction.show")
def prediction(model: str, request_id: str) -> Any:
    """One kept prediction: what was asked and what was answered."""
    found = ask("prediction.show", request_id=request_id)
    if found["model"] != model:
        raise NotFound(_("That prediction is another model's."), _("Look for it on that model's page."))
    asked, replied = _lines(found["request"], "rows"), _lines(found["reply"], "predictions")
    return page(
        "prediction.html",
        found=found,
        program=_programs().get(found["token"], found["token"]),
        asked=_side_by_side(asked),
        answered=_side_by_side([_chances(one) for one in replied]),
        raw={name: _readable(found[name]) for name in ("request", "reply")},
        most=_MOST_ROWS,
    )


def _common(hours: int) -> dict[str, Any]:
    return {"hours": hours, "spans": [(each, _(label)) for each, label in SPANS], "words": words}


def _hours() -> int:
    """The span that the address names; the usual one for anything else."""
    told = request.args.get("hours", type=int)
    return told if told in dict(SPANS) else _USUAL


def _drift(model: str, **more: Any) -> dict[str, Any] | None:
    """None for a model that went out of use a moment ago."""
    try:
        found: dict[str, Any] = ask("drift", model=model, **more)
    except NotFound:
        return None
    return found


def _predictions(model: str) -> list[dict[str, Any]]:
    programs = _programs()
    return [
        one | {"program": programs.get(one["token"], one["token"]), "said": _said(one["reply"])}
        for one in ask("prediction.ls", model=model, limit=_PREDICTIONS)
    ]


def _programs() -> dict[str, str]:
    """Names of programs by their token's number, for those who may know them."""
    return {one["id"]: one["name"] for one in ask("token.ls") if one["name"]} if can("token.ls") else {}


def _lines(document: Any, key: str) -> list[Mapping[str, Any]]:
    """The rows of a request or the answers of a reply; none where it was said in another way (V2)."""
    rows = document.get(key) if isinstance(document, dict) else None
    return [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []


def _said(reply: Any) -> str:
    """The first answer in a few words: `Yes (73 %)`, or `12.5`."""
    first = next(iter(_lines(reply, "predictions")), {})
    if "label" in first:
        chance = first.get("probability")
        return f"{first['label']} ({chance:.0%})" if isinstance(chance, float) else str(first["label"])
    return _cell(first["value"]) if "value" in first else ""


def _chances(answer: Mapping[str, Any]) -> dict[str, Any]:
    """One answer as a column of the page: the chances by label stand on lines of their own."""
    told = answer.get("probabilities")
    if not isinstance(told, dict):
        return dict(answer)
    return {"label": answer.get("label")} | {
        label: f"{chance:.1%}" if isinstance(chance, float) else chance for label, chance in told.items()
    }


def _side_by_side(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as columns of text, each name once: {"lines": [(name, [cell, ...])], "rows": how many}."""
    shown = rows[:_MOST_ROWS]
    names = dict.fromkeys(name for row in shown for name in row)
    return {
        "lines": [(name, [_cell(row.get(name)) for row in shown]) for name in names],
        "rows": len(rows),
    }


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return _("yes") if value else _("no")
        case float():
            return f"{value:.6g}"
        case str() | int():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _readable(document: Any) -> str:
    """JSON over several lines; what turns text around or can't be seen is written as its number."""
    if document is None:
        return ""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
