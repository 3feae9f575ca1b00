"""Who is calling: a signed-in browser by its cookie, a program by its token. The token counts first."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Request
from werkzeug.wrappers import Response

from appliance.app import App
from appliance.errors import Forbidden
from appliance.registry import tokens
from appliance.security import sessions
from appliance.security.roles import Caller, Role
from appliance.security.tokens import digest, in_force


@dataclass(frozen=True)
class Identity:
    """A caller: a browser with the token that its forms must carry, or a program with its token's id."""

    caller: Caller
    csrf: str | None = None
    token: str | None = None


def identify(app: App, request: Request) -> Identity | None:
    """The caller, or None for nobody. Raises Unauthenticated for a token that is no longer good."""
    text = _token(request)
    if text is not None:
        return _program(app, text)
    secret = request.cookies.get(cookie_name(request))
    if not secret:
        return None
    polls = "HX-Request" in request.headers
    found = sessions.who(app.home.registry, secret, app.home.config.admin, by_itself=polls)
    if found is None:
        return None
    session, user = found
    caller = Caller(f"user:{user.name}", Role(user.role), user.name, session.id, user.must_change)
    return Identity(caller, sessions.csrf_token(secret))


def where_from(request: Request) -> tuple[str, str]:
    """Address and browser, as a session keeps them."""
    return request.remote_addr or "", request.headers.get("User-Agent", "")


def cookie_name(request: Request) -> str:
    """Of this port: browsers share cookies between ports, and several appliances can run on one machine."""
    name = f"falaj-{request.environ['SERVER_PORT']}"
    return f"__Host-{name}" if request.is_secure else name


def remember(request: Request, response: Response, secret: str) -> None:
    """Give the browser its session."""
    put(request, response, cookie_name(request), secret)


def forget(request: Request, response: Response) -> None:
    put(request, response, cookie_name(request), "", max_age=0)


def put(request: Request, response: Response, name: str, value: str, max_age: int | None = None) -> None:
    """A cookie that no script reads and no other site causes to be sent."""
    secure = request.is_secure
    response.set_cookie(
        name, value, max_age=max_age, secure=secure, httponly=True, samesite="Strict", path="/"
    )


def _token(request: Request) -> str | None:
    given = request.headers.get("Authorization")
    if given is None:
        return request.headers.get("X-Api-Key")
    return given[7:].strip() if given[:7].lower() == "bearer " else ""


def _program(app: App, text: str) -> Identity:
    found = in_force(tokens.find_by_digest(app.home.registry, digest(text)), text)
    if found.role is None:
        raise Forbidden(
            f"Token {found.id} is for predictions only.",
            "Make one for a role with: falaj token create --role operator",
        )
    return Identity(Caller(f"token:{found.id}", Role(found.role)), token=found.id)
