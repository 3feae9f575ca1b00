"""Setting up, signing in and out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, redirect, request

from appliance.admin.rendering import _, page, site
from appliance.doors import access, identify
from appliance.errors import BadInput, FalajError
from appliance.verbs import sessions

blueprint = Blueprint("entry", __name__)


@blueprint.get("/setup")
@access.needs(access.SETUP)
def setup() -> Any:
    return page("setup.html", typed={})


@blueprint.post("/setup")
@access.needs(access.SETUP)
def set_up() -> Any:
    """The set-up code, a name and a password, typed twice, make the first user."""
    form = request.form
    try:
        if form.get("password") != form.get("again"):
            raise BadInput(_("The two passwords are not the same."), _("Type the same password twice."))
        made = sessions.set_up(
            site().app,
            form.get("code", ""),
            form.get("name", ""),
            form.get("password", ""),
            *identify.where_from(request),
        )
    except FalajError as error:
        site().count(error)
        return page("setup.html", error.status, typed=form, problem=error)
    return _enter(made, "/")


@blueprint.get("/sign-in")
@access.needs(access.ENTRY)
def sign_in_form() -> Any:
    if g.identity is not None:
        return redirect(_inside(request.args.get("next", "/")), 303)
    return page("sign_in.html", typed={"next": request.args.get("next", "/")})


@blueprint.post("/sign-in")
@access.needs(access.ENTRY)
def sign_in() -> Any:
    form = request.form
    try:
        made = sessions.sign_in(
            site().app, form.get("name", ""), form.get("password", ""), *identify.where_from(request)
        )
    except FalajError as error:
        site().count(error)
        answer = page("sign_in.html", error.status, typed=form, problem=error)
        if error.status == 429:
            answer.headers["Retry-After"] = str(getattr(error, "retry_after", 1))
        return answer
    return _enter(made, _inside(form.get("next", "/")))


@blueprint.post("/sign-out")
@access.needs(access.OWN_ACCOUNT)
def sign_out() -> Any:
    if g.identity.caller.session is not None:
        sessions.sign_out(site().app, g.identity.caller.session)
    answer = redirect("/sign-in", 303)
    identify.forget(request, answer)
    return answer


def _enter(made: tuple[str, Any], to: str) -> Any:
    answer = redirect(to, 303)
    identify.remember(request, answer, made[0])
    return answer


def _inside(to: str) -> str:
    """Only a page of ours: never an address of another site that somebody put into a link.

    Browsers drop tabs and line ends from an address, so one that has any can't be judged by how it begins.
    """
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"
