"""Tokens: what programs show when they ask for predictions, or command the appliance."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, act, ask, can, failed, page
from appliance.doors import access
from appliance.errors import FalajError

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
            expires=f"{form.get('days', '').strip()}d" if form.get("days", "").strip() else None,
            name=form.get("name", "").strip() or None,
        )
    except FalajError as error:
        return failed("tokens.html", error, **_about(typed=form))
    return page("tokens.html", **_about(made=made))


@blueprint.post("/tokens/<id>/revoke")
@access.needs("token.revoke")
def revoke(id: str) -> Any:
    return act("token.revoke", _("The token opens nothing any more."), "/tokens", "/tokens", id=id)


def _about(**more: Any) -> dict[str, Any]:
    found = {
        "tokens": ask("token.ls")[::-1],
        "models": ask("model.ls"),
        "endpoint": ask("status")["roles"]["inference"]["address"],
        "may_create": can("token.create"),
    }
    return {"typed": {}, "made": None} | found | more
