"""The views of the management API, made from the table of routes; and the few that fit no table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, Response, current_app, g, jsonify, request

from appliance.api.openapi import document
from appliance.api.routes import ROUTES, Route
from appliance.doors import access, identify, uploads
from appliance.doors.site import Site
from appliance.errors import BadInput
from appliance.security import sessions as secrets
from appliance.verbs import perform, sessions
from appliance.verbs.call import Call, plain

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


def _view(route: Route) -> Callable[..., Any]:
    numbers = {name for name, schema in route.body.items() if schema.get("type") in ("integer", "number")}
    flags = {name for name, schema in route.body.items() if schema.get("type") == "boolean"}

    @access.needs(route.verb)
    def view(**path: str) -> Any:
        args: dict[str, Any]
        if route.method == "GET":
            args = {name: _typed(name, value, numbers, flags) for name, value in request.args.items()}
        else:
            args = _body()
        return jsonify(_perform(route.verb, {**args, **path})), route.status

    return view


for _route in ROUTES:
    blueprint.add_url_rule(
        _route.rule,
        f"{_route.method} {_route.path}".replace(".", " "),
        _view(_route),
        methods=[_route.method],
    )


@blueprint.post("/datasets")
@access.needs("dataset.add", upload=True)
def add_dataset() -> Any:
    """A table as multipart/form-data: `name`, `options` (JSON) if any, then `file`."""
    upload = uploads.receive(request)
    args: dict[str, Any] = {
        "name": upload.text("name"),
        "filename": upload.text("filename") or upload.filename,
        "options": _object(upload.text("options") or "{}", "options"),
    }
    call = Call("dataset.add", g.identity.caller, args, cast(Any, upload.file))
    return jsonify(perform(_site().app, call)), 202


@blueprint.get("/openapi.json")
@access.needs(access.ENTRY)
def openapi() -> Any:
    return jsonify(document())


@blueprint.post("/setup")
@access.needs(access.SETUP)
def set_up() -> Any:
    """Make the first user, an admin, against the set-up code; signs in."""
    body = _body()
    code, name, password = (_text(body, key) for key in ("code", "name", "password"))
    return _signed_in(sessions.set_up(_site().app, code, name, password, *identify.where_from(request)), 201)


@blueprint.post("/session")
@access.needs(access.ENTRY)
def sign_in() -> Any:
    """Sign in with a name and a password; the session is a cookie, its token goes with every change."""
    body = _body()
    return _signed_in(
        sessions.sign_in(
            _site().app, _text(body, "name"), _text(body, "password"), *identify.where_from(request)
        ),
        201,
    )


@blueprint.get("/session")
@access.needs(access.OWN_ACCOUNT)
def session() -> Any:
    """Who is calling, in which role."""
    caller = g.identity.caller
    return jsonify(
        {
            "actor": caller.actor,
            "user": caller.user,
            "role": caller.role.value,
            "must_change": caller.must_change,
            "csrf": g.identity.csrf,
        }
    )


@blueprint.delete("/session")
@access.needs(access.OWN_ACCOUNT)
def sign_out() -> Any:
    """End one's own session."""
    if g.identity.caller.session is None:
        raise BadInput("A token has no session to end.", "Revoke it instead.")
    sessions.sign_out(_site().app, g.identity.caller.session)
    response = jsonify({"ended": True})
    identify.forget(request, response)
    return response


def _perform(verb: str, args: dict[str, Any]) -> Any:
    return perform(_site().app, Call(verb, g.identity.caller, args))


def _signed_in(made: tuple[str, Any], status: int) -> Response:
    secret, session = made
    response = jsonify(session.summary() | {"csrf": secrets.csrf_token(secret)})
    response.status_code = status
    identify.remember(request, response, secret)
    return response


def _site() -> Site:
    return cast(Site, current_app)


def _body() -> dict[str, Any]:
    """The JSON object of the request; an empty one where there is no body."""
    raw = request.get_data()
    return _object(raw, "body") if raw else {}


def _object(raw: bytes | str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"The {what} must be a JSON object.", "See /api/v1/openapi.json for what it may hold.")
    return found


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadInput(f"The '{name}' must be a text.", "See /api/v1/openapi.json for what to send.")
    return plain(value)


def _typed(name: str, value: str, numbers: set[str], flags: set[str]) -> Any:
    """An argument of the query as what the route says it is."""
    if name in flags:
        if value not in ("true", "false"):
            raise BadInput(
                f"The '{name}' must be true or false. Got {value[:40]!r} instead.", "Mend the address."
            )
        return value == "true"
    if name not in numbers:
        return value
    try:
        return float(value)
    except ValueError as error:
        raise BadInput(
            f"The '{name}' must be a number. Got {value[:40]!r} instead.", "Mend the address."
        ) from error
