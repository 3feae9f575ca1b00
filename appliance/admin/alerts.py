"""Alerts: what went wrong with models in use, who knows of it, and what is over."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from appliance.admin import words
from appliance.admin.rendering import _, act, ask, page
from appliance.doors import access

blueprint = Blueprint("alerts", __name__)
_HERE = "/alerts"


@blueprint.get("/alerts")
@access.needs("alert.ls")
def alerts() -> Any:
    """Those that still hold, the ones that nobody knows of first; then those that are over."""
    found = ask("alert.ls", all=True)
    unresolved = sorted(ask("alert.ls"), key=lambda one: one["state"] != "open")
    resolved = [one for one in found if one["state"] == "resolved"]
    return page("alerts.html", unresolved=unresolved, resolved=resolved, words=words)


@blueprint.post("/alerts/<alert>/acknowledge")
@access.needs("alert.ack")
def acknowledge(alert: str) -> Any:
    return act("alert.ack", _("Everybody sees now that you know of it."), _HERE, _HERE, alert=alert)


@blueprint.post("/alerts/<alert>/resolve")
@access.needs("alert.resolve")
def resolve(alert: str) -> Any:
    told = _("The alert is resolved. If it goes on, a new one is opened.")
    return act("alert.resolve", told, _HERE, _HERE, alert=alert)
