"""The doctor's checks, each with what to do; those that read all that is stored only when asked for."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin import words
from appliance.admin.rendering import ask, page
from appliance.doors import access
from appliance.verbs.doctor import LONG

blueprint = Blueprint("checks", __name__)


@blueprint.get("/checks")
@access.needs("doctor")
def checks() -> Any:
    quick = request.args.get("all") != "yes"
    left_out = LONG if quick else ()
    found = ask("doctor", quick=quick)
    return page("checks.html", checks=found, left_out=left_out, upgrade=ask("upgrade.show"), words=words)
