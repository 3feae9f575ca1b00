"""Users, what they may do, and where they are signed in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin.rendering import _, act, ask, failed, page
from appliance.doors import access
from appliance.errors import FalajError

blueprint = Blueprint("people", __name__)


@blueprint.get("/users")
@access.needs("user.ls")
def users() -> Any:
    return page("users.html", **_about())


@blueprint.post("/users")
@access.needs("user.add")
def add() -> Any:
    """Add a user; the one-time password is shown once, in this answer."""
    form = request.form
    try:
        made = ask("user.add", name=form.get("name", ""), role=form.get("role", ""))
    except FalajError as error:
        return failed("users.html", error, **_about(typed=form))
    return page("users.html", **_about(made=made))


@blueprint.post("/users/role")
@access.needs("user.role")
def role() -> Any:
    name, role = request.form.get("user", ""), request.form.get("role", "")
    told = _("%(user)s is %(role)s now.") % {"user": name, "role": role}
    return act("user.role", told, "/users", "/users", user=name, role=role)


@blueprint.post("/users/reset")
@access.needs("user.reset")
def reset() -> Any:
    """A new one-time password, shown once, in this answer."""
    try:
        made = ask("user.reset", user=request.form.get("user", ""))
    except FalajError as error:
        return failed("users.html", error, **_about())
    return page("users.html", **_about(made=made))


@blueprint.post("/users/remove")
@access.needs("user.rm")
def remove() -> Any:
    name = request.form.get("user", "")
    return act("user.rm", _("%s can no longer sign in.") % name, "/users", "/users", user=name)


@blueprint.post("/sessions/<session>/end")
@access.needs("session.revoke")
def end(session: str) -> Any:
    back = "/users" if request.form.get("from") == "users" else "/account"
    return act("session.revoke", _("That browser is signed out."), back, back, session=session)


def _about(**more: Any) -> dict[str, Any]:
    found = {"users": ask("user.ls"), "roles": ask("role.ls"), "sessions": ask("session.ls")}
    return {"typed": {}, "made": None} | found | more
