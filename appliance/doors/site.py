"""The Flask application of the admin port: blueprints behind one guard, errors mapped in one place."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Flask, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from appliance.app import App
from appliance.doors import access, headers
from appliance.doors.guard import STRANGERS_BODY, Guard
from appliance.errors import FalajError, Overloaded, Unavailable
from appliance.security.refusals import Refusals
from appliance.security.roles import SYSTEM
from appliance.security.token_use import TokenUse
from appliance.verbs import perform
from appliance.verbs.call import Call

log = logging.getLogger(__name__)

LARGEST_BODY = 4 << 20  # bytes of a request that is no upload
FORM_BYTES = 256 * 1024  # of a form's fields, held in memory; an upload's file is not held
REFUSED = {401, 403, 429}  # told on a page of their own, and counted
API = "/api/"
METRICS = "/metrics"

ErrorPage = Callable[[FalajError], Response | None]


class Site(Flask):
    """A Flask application that holds the appliance, its guard and its count of refusals."""

    def __init__(self, app: App, names: Callable[[], set[str]]) -> None:
        super().__init__("falaj-admin", static_folder=None)
        self.app = app
        self.refusals = Refusals(app.home.registry, "admin")
        self.token_use = TokenUse(app.home.telemetry)
        self.guard = Guard(app, names, self.token_use.add)
        self.config["MAX_FORM_MEMORY_SIZE"] = FORM_BYTES
        self.json.sort_keys = False  # type: ignore[attr-defined]  # figures come with the main one first
        self.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY

    def count(self, error: FalajError) -> None:
        """Put a refusal into the records, under who it was."""
        if error.status in REFUSED:
            self.refusals.add(_source(), error.status, getattr(error, "about", ""))

    def largest(self, method: str, path: str) -> int | None:
        """How many bytes may be sent there; None for an upload, which its view reads as it arrives."""
        try:
            endpoint, _ = self.url_map.bind("").match(path, method)
        except HTTPException:
            return STRANGERS_BODY
        view = self.view_functions[endpoint]
        if access.takes_upload(view):
            return None
        return STRANGERS_BODY if access.need_of(view) in (access.SETUP, access.ENTRY) else LARGEST_BODY


def build(
    app: App, blueprints: Sequence[Blueprint], names: Callable[[], set[str]], error_page: ErrorPage
) -> Site:
    """The site of an appliance. `error_page` renders an error for people, or gives None for JSON.

    Raises AssertionError for a view that does not say what it needs: it would never be reached.
    """
    site = Site(app, names)
    site.guard.install(site)
    site.after_request(headers.add)
    _health(site)
    for blueprint in blueprints:
        site.register_blueprint(blueprint)
    for endpoint, view in site.view_functions.items():
        assert access.need_of(view) is not None, f"{endpoint} does not say what it needs"

    def told(error: FalajError) -> Any:
        page = None if request.path.startswith((API, METRICS)) else error_page(error)
        led_to_sign_in = page is not None and page.status_code == 303
        if not led_to_sign_in:
            site.count(error)
        response = page if page is not None else jsonify(error.as_json())
        response.status_code = page.status_code if page is not None else error.status
        if isinstance(error, Overloaded):
            response.headers["Retry-After"] = str(error.retry_after)
        if error.status == 401 and page is None:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @site.errorhandler(FalajError)
    def ours(error: FalajError) -> Any:
        return told(error)

    @site.errorhandler(HTTPException)
    def of_http(error: HTTPException) -> Any:
        status = error.code or 500
        if status < 400:
            return error
        answer = told(_Http(status, str(error.name)))
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    @site.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        reference = secrets.token_hex(4)
        log.exception("request failed unexpectedly, reference %s", reference)
        return told(FalajError("Something failed unexpectedly.", f"The log has it under {reference}."))

    return site


class _Http(FalajError):
    """What Flask itself refuses."""

    _WORDS = {
        404: ("There is nothing at this address.", "Check the address."),
        405: ("This address does not take that kind of request.", "The header Allow names what it takes."),
        413: ("The request is too large.", "Send less at once."),
    }

    def __init__(self, status: int, name: str) -> None:
        super().__init__(*self._WORDS.get(status, (f"{name}.", "Check the request.")))
        self.status = status  # type: ignore[misc]


def _source() -> str:
    """Who a refusal is counted under: the user or token, else the address."""
    if g.get("identity") is not None:
        return str(g.identity.caller.actor)
    return f"address:{request.remote_addr}"


def _health(site: Site) -> None:
    @site.get("/healthz")
    @access.needs(access.OPEN)
    def healthz() -> dict[str, bool]:
        return {"live": True}

    @site.get("/readyz")
    @access.needs(access.OPEN)
    def readyz() -> dict[str, bool]:
        if not perform(site.app, Call("status", SYSTEM))["ready"]:
            raise Unavailable("Not every part of the appliance is ready.", "See: falaj status")
        return {"ready": True}
