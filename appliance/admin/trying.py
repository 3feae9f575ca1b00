"""The "try it" form: a field for each column that the model in use reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, ask, failed, page
from appliance.doors import access
from appliance.errors import BrokenRow, Conflict, FalajError

blueprint = Blueprint("trying", __name__)


@blueprint.get("/models/<name>/try")
@access.needs("predict")
def try_form(name: str) -> Any:
    return page("try.html", **_about(name), typed={}, answer=None)


@blueprint.post("/models/<name>/try")
@access.needs("predict")
def try_it(name: str) -> Any:
    about = _about(name)
    typed = request.form
    try:
        row = {
            column["name"]: value
            for index, column in enumerate(about["columns"])
            if (value := _value(column, typed, index)) is not None
        }
        answer = ask("predict", model=name, rows=[row])
    except FalajError as error:
        return failed("try.html", error, **about, typed=typed, answer=None)
    return page("try.html", **about, typed=typed, answer=answer, filled=bool(row))


def _about(name: str) -> dict[str, Any]:
    """The live version and its columns. Raises Conflict while nothing answers."""
    live = ask("deployment.show", model=name)["live"]
    if live is None:
        raise Conflict(
            _("This model is not in use, so it can't be asked."), _("Put one of its versions to use first.")
        )
    found = ask("model.show", model=f"{name}:{live['version']}")
    return {
        "model": name,
        "live": live,
        "target": found["target"],
        "columns": found["signature"]["columns"],
        "task": found["task"],
    }


def _value(column: Mapping[str, Any], typed: Mapping[str, str], index: int) -> Any:
    """What was typed as the column's kind takes it; None for what is left open."""
    text = typed.get(f"c{index}", "").strip()
    if text == "":
        return None
    match column["kind"]:
        case "number" | "integer":
            return _as_number(column, text)
        case "boolean":
            return text == "true"
        case _:
            return text


def _as_number(column: Mapping[str, Any], text: str) -> float | int:
    try:
        number = float(text)
        if math.isfinite(number):
            return int(number) if column["kind"] == "integer" and number == int(number) else number
    except ValueError:
        pass
    raise BrokenRow(
        _("'%s' must be a number.") % column["name"][:60],
        _("Write it with digits only, and a point for decimals: 5000 or 12.5."),
        column=column["name"],
    )
