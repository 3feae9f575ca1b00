"""The recovery key: made and shown once, checked as often as somebody likes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, act, ask, failed, page
from appliance.doors import access
from appliance.errors import FalajError

blueprint = Blueprint("recovery", __name__)


@blueprint.get("/recovery")
@access.needs("recovery.show")
def recovery() -> Any:
    return page("recovery.html", found=ask("recovery.show"), made=None)


@blueprint.post("/recovery/make")
@access.needs("recovery.make")
def make() -> Any:
    """The key is shown in this answer alone."""
    try:
        made = ask("recovery.make")
    except FalajError as error:
        return failed("recovery.html", error, found=ask("recovery.show"), made=None)
    return page("recovery.html", found=made, made=made["key"])


@blueprint.post("/recovery/check")
@access.needs("recovery.check")
def check() -> Any:
    told = _("It is the right one.")
    return act("recovery.check", told, "/recovery", "/recovery", key=request.form.get("key", ""))
