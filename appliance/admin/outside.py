"""Connections out: what may be called, what was refused, and trying one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin import words
from appliance.admin.rendering import _, act, ask, failed, go, page
from appliance.doors import access
from appliance.errors import FalajError

blueprint = Blueprint("outside", __name__)
_HERE = "/egress"


@blueprint.get("/egress")
@access.needs("egress.ls")
def outside() -> Any:
    return page("egress.html", **_about())


@blueprint.post("/egress/allow")
@access.needs("egress.allow")
def allow() -> Any:
    typed = {name: request.form.get(name, "").strip() for name in ("address", "purpose")}
    try:
        made = ask("egress.allow", **typed)
    except FalajError as error:
        return failed("egress.html", error, **_about(typed=typed))
    return go(_HERE, "good", _("%s may be called from now on.") % made["address"])


@blueprint.post("/egress/deny")
@access.needs("egress.deny")
def deny() -> Any:
    told = _("It may not be called any more.")
    return act("egress.deny", told, _HERE, _HERE, address=request.form.get("address", ""))


@blueprint.post("/egress/test")
@access.needs("egress.test")
def test() -> Any:
    url = request.form.get("url", "").strip()
    try:
        tried = ask("egress.test", url=url)
    except FalajError as error:
        return failed("egress.html", error, **_about(typed={"url": url}))
    return page("egress.html", **_about(typed={"url": url}, tried=tried))


def _about(**more: Any) -> dict[str, Any]:
    return {"found": ask("egress.ls"), "typed": {}, "tried": None, "words": words} | more
