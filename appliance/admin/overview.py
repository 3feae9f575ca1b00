"""The start page: is everything all right, what answers, what runs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from appliance.admin.advice import advise
from appliance.admin.rendering import ask, can, page, troubles_now
from appliance.doors import access
from appliance.errors import FalajError

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
@access.needs("status")
def overview() -> Any:
    return page("overview.html", **_now())


@blueprint.get("/now")
@access.needs("status")
def now() -> Any:
    """The part that is looked at again once a second."""
    return page("overview_now.html", **_now())


def _recovery_made() -> bool:
    """A damaged one is none: a new one has to be made."""
    try:
        return bool(ask("recovery.show")["made"])
    except FalajError:
        return False


def _now() -> dict[str, Any]:
    status, readable = ask("status"), True
    models, jobs, alerts, tokens, recovery = [], [], [], None, True
    try:
        models, jobs, alerts = ask("model.ls"), ask("job.ls"), ask("alert.ls")
        tokens = len(ask("token.ls")) if can("token.create") else None
        recovery = not can("recovery.make") or _recovery_made()
    except FalajError:
        readable = False
        if not troubles_now():  # what else it may be, this page can't say
            raise
    return {
        "advice": advise(status, models, jobs, tokens, can, alerts, troubles_now(), recovery),
        "health": status,
        "readable": readable,
        "alerts": len(alerts),
        "alerted": {alert["model"] for alert in alerts},
        "datasets": status["datasets"],
        "models": models,
        "answering": [model for model in models if model["live"]],
        "running": [job for job in jobs if job["state"] in ("queued", "running")],
    }
