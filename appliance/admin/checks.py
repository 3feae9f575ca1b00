"""The doctor's checks, each with what to do."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from appliance.admin import words
from appliance.admin.rendering import ask, page
from appliance.doors import access

blueprint = Blueprint("checks", __name__)


@blueprint.get("/checks")
@access.needs("doctor")
def checks() -> Any:
    return page("checks.html", checks=ask("doctor"), words=words)
