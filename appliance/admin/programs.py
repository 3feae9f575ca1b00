"""Tokens: what programs show when they ask for predictions, or command the appliance."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, act, ask, can, failed, page
from appliance.doors import access
from appliance.errors import BadInput, FalajError

blueprint = Blueprint("programs", __name__)


@blueprint.get("/tokens")
@access.needs("token.ls")
def tokens() -> Any:
    return page("tokens.html", **_about())


@blueprint.post("/tokens")
@access.needs("token.create")
def create() -> Any:
    """Make a token; it is shown once, in this answer."""
    form = request.form
    try:
        if not form.getlist("models") and not form.get("role"):
            raise BadInput(_("It is not said what the program may ask."), _("Tick a model."))
        made = ask(
            "token.create",
            models=form.getlist("models"),
            role=form.get("role") or None,
            expires=_span(form.get("days", "").strip()),
            name=form.get("name", "").strip() or None,
        )
    except FalajError as error:
        return failed("tokens.html", error, **_about(typed=form, chosen=form.getlist("models")))
    return page("tokens.html", **_about(made=made, sample=_sample(made["models"])))


def _sample(wanted: list[str]) -> tuple[str, str] | None:
    """A model that the token may ask, and a row of it to try, as JSON; None while there is no model."""
    names = [one["model"] for one in ask("model.ls") if "*" in wanted or one["model"] in wanted]
    if not names:
        return None
    columns = ask("model.show", model=names[0])["signature"]["columns"][:_SHOWN]
    row = {
        one["name"]: one["categories"][0] if one.get("categories") else _LIKELY.get(one["kind"])
        for one in columns
    }
    return names[0], json.dumps({"rows": [row]}, ensure_ascii=False).replace("'", "'\\''")


@blueprint.post("/tokens/<id>/revoke")
@access.needs("token.revoke")
def revoke(id: str) -> Any:
    return act("token.revoke", _("The token opens nothing any more."), "/tokens", "/tokens", id=id)


def _span(days: str) -> str | None:
    """How long it works; None for as long as it isn't revoked."""
    if days and not (days.isascii() and days.isdigit() and 0 < int(days[:9]) < 100_000):
        raise BadInput(
            _("'%s' is not a number of days.") % days[:40], _("Write a whole number, or leave it empty.")
        )
    return f"{days}d" if days else None


def _endpoint() -> str:
    """Where a program asks: from the office where that is open, else on the server itself."""
    addresses: list[str] = ask("status")["roles"]["inference"]["addresses"]
    return next((one for one in addresses if one.startswith("https")), addresses[0])


_SHOWN = 4  # columns of the sample row; the others may be left out
_LIKELY = {"number": 1.5, "integer": 1, "boolean": True}


def _about(**more: Any) -> dict[str, Any]:
    found = {
        "tokens": ask("token.ls")[::-1],
        "models": ask("model.ls"),
        "endpoint": _endpoint(),
        "may_create": can("token.create"),
    }
    return {"typed": {}, "chosen": [], "made": None, "sample": None} | found | more
