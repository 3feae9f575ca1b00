"""One's own account: the password, and the browsers where one is signed in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, request

from appliance.admin.rendering import _, ask, failed, go, page
from appliance.doors import access
from appliance.errors import BadInput, FalajError

blueprint = Blueprint("account", __name__)


@blueprint.get("/account")
@access.needs(access.OWN_ACCOUNT)
def account() -> Any:
    return page("account.html", **_about())


@blueprint.post("/account/password")
@access.needs(access.OWN_ACCOUNT)
def password() -> Any:
    form = request.form
    try:
        if form.get("new") != form.get("again"):
            raise BadInput(_("The two new passwords are not the same."), _("Type the same one twice."))
        ask("account.password", old=form.get("old", ""), new=form.get("new", ""))
    except FalajError as error:
        if error.status == 403:  # a wrong present password belongs beside its field
            return page("account.html", 403, problem=error, **_about())
        return failed("account.html", error, **_about())
    if g.identity.caller.must_change:
        return redirect("/", 303)
    return go("/account", "good", _("Your password is changed. Your other browsers are signed out."))


def _about() -> dict[str, Any]:
    first = g.identity.caller.must_change
    mine = [] if first else [one for one in ask("session.ls") if one["user"] == g.identity.caller.user]
    return {"sessions": mine, "first": first}
