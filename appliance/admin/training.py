"""The form that starts a training: first the data, then what to learn."""

from __future__ import annotations

import math
from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, ask, failed, go, page
from appliance.doors import access
from appliance.errors import BadInput, FalajError

blueprint = Blueprint("training", __name__)
_MINUTES = 60.0


@blueprint.get("/train")
@access.needs("train")
def train_form() -> Any:
    reference = request.args.get("dataset", "")
    if not reference:
        return page("train_choose.html", datasets=ask("dataset.ls")[::-1])
    return page("train.html", **_about(reference), typed=request.args, left_out=set())


@blueprint.post("/train")
@access.needs("train")
def train() -> Any:
    """Start it; on to its job."""
    form = request.form
    reference = form.get("dataset", "")
    about = _about(reference)
    known = [column["name"] for column in about["dataset"]["schema"]]
    target = _nth(known, form.get("target", ""))
    left_out = [
        name for name in known if str(known.index(name)) not in form.getlist("use") and name != target
    ]
    try:
        if target is None:
            raise BadInput(_("Say what the model is to predict."), _("Choose a column."))
        made = ask(
            "train",
            model=form.get("model", "").strip(),
            dataset=reference,
            target=target,
            drop=left_out,
            keep=[name for name in known if str(known.index(name)) in form.getlist("keep")],
            task=form.get("task", "auto"),
            algorithm=form.get("algorithm", "auto"),
            budget=_budget(form.get("minutes", "")),
            seed=int(_number(form.get("seed", ""), 0)),
        )
    except FalajError as error:
        return failed("train.html", error, **about, typed=form, left_out=set(left_out))
    return go(f"/jobs/{made['job']}")


def _about(reference: str) -> dict[str, Any]:
    found = ask("dataset.show", dataset=reference)
    profile = {
        column["name"]: column for column in ask("dataset.profile", dataset=reference)["profile"]["columns"]
    }
    models = ask("model.ls")
    only_apart = {name for name, one in profile.items() if one["count"] and one["distinct"] >= one["count"]}
    return {"dataset": found, "only_apart": only_apart, "models": models}


def _nth(known: list[str], text: str) -> str | None:
    """Columns are sent by their number: a name may be anything, and two may differ in a sign only."""
    return (
        known[int(text)]
        if text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < len(known)
        else None
    )


def _budget(text: str) -> float | None:
    return None if not text.strip() else _number(text, 0) * _MINUTES


def _number(text: str, default: float) -> float:
    try:
        number = float(text) if text.strip() else default
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(_("'%s' is not a number.") % text[:40], _("Write digits."))
    return number
