"""Tokens: what programs show when they ask for predictions, or command the appliance."""

from __future__ import annotations

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
        made = ask(
            "token.create",
            models=form.getlist("models"),
            role=form.get("role") or None,
            expires=_span(form.get("days", "").strip()),
            name=form.get("name", "").strip() or None,
        )
    except FalajError as error:
        return failed("tokens.html", error, **_about(typed=form, chosen=form.getlist("models")))
    return page("tokens.html", **_about(made=made))


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


def _about(**more: Any) -> dict[str, Any]:
    found = {
        "tokens": ask("token.ls")[::-1],
        "models": ask("model.ls"),
        "endpoint": _endpoint(),
        "may_create": can("token.create"),
    }
    return {"typed": {}, "chosen": [], "made": None} | found | more
