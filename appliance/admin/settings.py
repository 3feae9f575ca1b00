"""The settings, in words: what the owner changed first, and the command that changes each."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from appliance.admin import words
from appliance.admin.rendering import ask, page, sudo
from appliance.doors import access

blueprint = Blueprint("settings", __name__)


@blueprint.get("/settings")
@access.needs("config.ls")
def settings() -> Any:
    found = ask("config.ls")
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in found["settings"]:
        sections.setdefault(row["setting"].partition(".")[0], []).append(row)
    changed = [row for row in found["settings"] if row["changed"] or row["next"] is not None]
    coming = [row for row in found["settings"] if row["next"] is not None]
    shown = {"found": found, "sections": sections, "changed": changed, "coming": coming, "sudo": sudo()}
    return page("settings.html", **shown, words=words)
