"""What happens before any view: host, set-up, identity, forged requests, role. Deny by default.

The order matters: until the appliance is set up everything but the set-up page is refused; a request from
another site is refused before it can change anything; a role is checked here for the page and again
in `verbs.perform` for the deed.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from flask import Flask, Request, current_app, g, request
from werkzeug.exceptions import NotFound

from appliance.app import App
from appliance.doors import access
from appliance.doors.identify import Identity, identify
from appliance.errors import (
    BadInput,
    Conflict,
    FalajError,
    Forbidden,
    Unauthenticated,
    Unavailable,
)
from appliance.registry import users
from appliance.security import roles

_SAFE = {"GET", "HEAD", "OPTIONS"}
_WITH_ONE_TIME_PASSWORD = {access.ENTRY, access.OWN_ACCOUNT, roles.OWN_PASSWORD}
FORM_COOKIE = "falaj-form"
STRANGERS_BODY = 64 * 1024  # bytes that somebody may send before they are known


class Guard:
    """The checks of one site. `names` gives the names of this machine; `note_use` counts a token's use."""

    def __init__(self, app: App, names: Callable[[], set[str]], note_use: Callable[[str], None]) -> None:
        self._app = app
        self._note_use = note_use
        self._names = names
        self._set_up = False

    def install(self, site: Flask) -> None:
        site.before_request(self.check)

    @property
    def set_up(self) -> bool:
        """Whether somebody can sign in; once true it stays so."""
        self._set_up = self._set_up or users.there_are_any(self._app.home.registry)
        return self._set_up

    def check(self) -> None:
        """Raises FalajError when this request may not go on; else `g.identity` says who it is."""
        g.identity = None
        try:
            self._check()
        except FalajError as error:
            if error.status == FalajError.status:
                raise Unreadable(error) from error
            raise

    def _check(self) -> None:
        self._check_host(request)
        view = current_app.view_functions.get(request.endpoint or "")
        need = access.need_of(view) if view else None
        if need == access.OPEN:
            return
        if not self.set_up and need != access.SETUP:
            raise NotSetUp()
        if request.routing_exception is not None:
            with contextlib.suppress(FalajError):  # known or not: the error page has its navigation
                g.identity = identify(self._app, request)
            raise request.routing_exception
        if need is None:
            raise NotFound
        if need == access.SETUP and self.set_up:
            raise Conflict("The appliance is set up already.", "Sign in.")
        if need in (access.SETUP, access.ENTRY):
            request.max_content_length = STRANGERS_BODY  # told by its length, so that nobody waits for it
        g.identity = self._identity(need)
        check_not_forged(request, g.identity, access.takes_upload(view))
        if g.identity is not None and need in roles.PERMISSIONS:
            roles.check(g.identity.caller, need)

    def _identity(self, need: str) -> Identity | None:
        if need == access.SETUP:
            return None
        found = identify(self._app, request)
        if found is not None and found.token is not None:
            self._note_use(found.token)
        if found is None and need != access.ENTRY:
            raise Unauthenticated(
                "This needs somebody who is signed in.",
                "Sign in, or send 'Authorization: Bearer TOKEN' with a token for a role.",
            )
        if found is not None and found.caller.must_change and need not in _WITH_ONE_TIME_PASSWORD:
            raise MustChange()
        return found

    def _check_host(self, request: Request) -> None:
        """Another site may have its name point at this machine (DNS rebinding): refuse such names."""
        host = urlsplit(f"//{request.host}").hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            known = self._names()
            if host not in known and f"*.{host.partition('.')[2]}" not in known:
                raise BadInput(
                    f"This appliance does not answer to the name '{host[:60]}'.",
                    "Use its address, or add the name to tls.names in falaj.toml.",
                ) from None


class Unreadable(Unavailable):
    """503: who calls can't be looked up. Says what is wrong to everybody: nobody can sign in to read it."""

    def __init__(self, cause: FalajError) -> None:
        super().__init__(cause.message, cause.hint)


class NotSetUp(Forbidden):
    """403: nobody has been set up yet."""

    def __init__(self) -> None:
        super().__init__(
            "This appliance has not been set up yet.",
            "Open /setup with the code that it printed at its start; a new one: falaj setup-code",
        )


class MustChange(Forbidden):
    """403: the one-time password opens nothing but the page where it is changed."""

    def __init__(self) -> None:
        super().__init__("Choose a password of your own first.", "Do it under 'My account'.")


class Forged(Forbidden):
    """403: the request does not come from our own page."""

    def __init__(self) -> None:
        super().__init__(
            "This request does not come from a page of this appliance.",
            "Load the page again, then repeat it.",
        )


def check_not_forged(request: Request, identity: Identity | None, upload: bool = False) -> None:
    """Refuse what another site's page makes a browser send (CSRF). Raises Forged.

    Browsers say where a request comes from; on top of that a changing one carries the session's token, or
    before there is a session the value of a cookie. Programs with a token send no cookie: nothing to forge.
    A view that takes an `upload` checks its form itself, as it reads it, unless the header has the token.
    """
    if request.method in _SAFE or (identity is not None and identity.csrf is None):
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (origin and origin.partition("://")[2] != request.host):
        raise Forged()
    if identity is None and request.is_json:
        return  # no other site can send JSON without asking first
    if request.mimetype == "multipart/form-data" and not upload:
        raise Forged()  # no form of ours has a file there, and reading one could put it on the disk
    given = request.headers.get("X-CSRF-Token")
    if given is None and request.mimetype == "multipart/form-data":
        return
    check_form_token(request, identity, given if given is not None else request.form.get("csrf", ""))


def check_form_token(request: Request, identity: Identity | None, given: str) -> None:
    """Compare the token of a form. Raises Forged."""
    expected = identity.csrf if identity is not None else request.cookies.get(FORM_COOKIE)
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        raise Forged()


def here() -> str:
    """The address of this page, to come back to after the sign-in."""
    return quote(request.full_path.rstrip("?"), safe="/")


def form_token() -> str:
    """What the forms of this page carry; before a session it lives in a cookie, set after the request."""
    if g.identity is not None and g.identity.csrf is not None:
        return str(g.identity.csrf)
    if "form_token" not in g:
        g.form_token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    return str(g.form_token)
