"""What every view uses: ask a verb, render a template, tell a notice on the next page.

Views hold no logic of the appliance: they ask verbs as the signed-in user, and render. A form that failed
comes back with what was typed and the reason; a button that failed tells it on the page it was on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from flask import current_app, g, redirect, render_template, request
from jinja2 import FileSystemLoader
from werkzeug.wrappers import Response

from appliance import __version__
from appliance.admin import language, words
from appliance.admin.assets import asset
from appliance.admin.language import WEB, _, direction, ngettext
from appliance.admin.navigation import navigation
from appliance.config import SYSTEM_HOME
from appliance.doors import guard
from appliance.doors.guard import MustChange, NotSetUp, Unreadable
from appliance.doors.site import REFUSED, Site
from appliance.errors import FalajError
from appliance.security.roles import Caller, may
from appliance.verbs import perform, troubles
from appliance.verbs.call import Call

_MOST_NOTICES = 1000


@dataclass(frozen=True)
class Notice:
    """One sentence on the next page. Kinds: good, bad, info."""

    kind: str
    text: str


class Told(NamedTuple):
    """A trouble in the page's words: what is wrong, what to do."""

    trouble: str
    fix: str


_notices: OrderedDict[str, Notice] = OrderedDict()
_lock = threading.Lock()


def site() -> Site:
    return cast(Site, current_app)


def sudo() -> str:
    """What a command that is shown begins with: the installed appliance obeys root."""
    return "sudo " if site().app.home.path == SYSTEM_HOME else ""


def ask(verb: str, **args: Any) -> Any:
    """A verb, as the signed-in user."""
    return perform(site().app, Call(verb, g.identity.caller, args))


def can(verb: str) -> bool:
    """Whether the signed-in user may do a verb: what they may not do isn't offered."""
    return g.identity is not None and may(g.identity.caller.role, verb)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A rendered page."""
    response = cast(Response, current_app.make_response(render_template(template, **values)))
    response.status_code = status
    return response


def act(verb: str, told: str, to: str, back: str, **args: Any) -> Response:
    """Do what a button asks, then go on to `to`; when it fails go `back` and tell why."""
    try:
        ask(verb, **args)
    except FalajError as error:
        if error.status in REFUSED:
            raise
        return go(back, "bad", f"{error.message} {plain_hint(error)}".strip())
    return go(to, "good", told)


def go(to: str, kind: str = "", text: str = "") -> Response:
    """On to another page, with a notice there."""
    if text and g.identity is not None and g.identity.caller.session:
        with _lock:
            _notices[g.identity.caller.session] = Notice(kind, text)
            while len(_notices) > _MOST_NOTICES:
                _notices.popitem(last=False)
    return redirect(quote(to, safe="/:#?=&%"), 303)


def failed(template: str, error: FalajError, **values: Any) -> Response:
    """The form again, with what was typed and why it did not work."""
    if error.status in REFUSED:
        raise error
    return page(template, error.status, problem=error, **values)


def error_page(error: FalajError) -> Response | None:
    """An error as a page for people; None for programs, which get JSON."""
    if request.headers.get("HX-Request"):
        return _leave_part(error)
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        return None
    if isinstance(error, Unreadable):
        return page("unreadable.html", error.status, problem=error)
    if isinstance(error, NotSetUp):
        return page("setup_first.html", error.status)
    if isinstance(error, MustChange):
        return redirect("/account", 303)
    if error.status == 401 and request.method == "GET":
        return redirect(f"/sign-in?next={guard.here()}", 303)
    return page("error.html", error.status, problem=error)


def _leave_part(error: FalajError) -> Response:
    """A polled part can't show an error page; whoever is no longer signed in is led to the sign-in, and where
    nobody can be looked up the whole page comes anew, to say why.
    """
    response = cast(Response, current_app.make_response(""))
    response.status_code = error.status
    if error.status == 401:
        response.headers["HX-Redirect"] = "/sign-in"
    if isinstance(error, Unreadable):
        response.headers["HX-Refresh"] = "true"
    return response


def plain_hint(error: FalajError) -> str:
    """The hint, unless it is a command: those who have no command line are not sent to it."""
    return "" if "falaj " in error.hint else error.hint


def install(site: Site) -> None:
    """Give a site our templates, their words and what all of them have."""
    site.jinja_loader = FileSystemLoader(WEB / "templates")
    site.jinja_env.add_extension("jinja2.ext.i18n")
    site.jinja_env.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined]
    site.jinja_env.globals["asset"] = asset
    site.context_processor(_context)


def troubles_now() -> list[Told]:
    """What is wrong with the machine, looked at once a request."""
    if "troubles" not in g:
        g.troubles = [
            Told(words.of_the_core(one.words[0]) % one.values, words.of_the_core(one.words[1]))
            for one in troubles.find(site().app.home)
        ]
    return cast(list[Told], g.troubles)


def _context() -> dict[str, Any]:
    """What every template has; see web/README.md."""
    identity = g.get("identity")
    caller = identity.caller if identity is not None else None
    return {
        "nav": _navigation(caller) if caller and caller.user and not caller.must_change else [],
        "user": {"name": caller.user, "role": words.role(caller.role.value)}
        if caller and caller.user
        else None,
        "csrf": guard.form_token(),
        "lang": language.LANGUAGE,
        "dir": direction(),
        "notice": _take_notice(),
        "version": __version__,
        "troubles": troubles_now(),
        "secure": request.is_secure,
        "can": can,
        "plain_hint": plain_hint,
        "who": words.who,
        "task": words.task,
        "column_kind": words.column_kind,
        "deed": words.deed,
        "role_word": words.role,
        "browser": words.browser,
    }


def _navigation(caller: Caller) -> list[dict[str, Any]]:
    """The way to the pages; a part that is fetched anew has none."""
    if request.headers.get("HX-Request"):
        return []
    try:
        alerts = len(ask("alert.ls"))
    except FalajError:  # the records can't be read; the page says so
        alerts = 0
    return navigation(caller, request.path, alerts)


def _take_notice() -> Notice | None:
    identity = g.get("identity")
    if identity is None or not identity.caller.session or request.headers.get("HX-Request"):
        return None
    with _lock:
        return _notices.pop(identity.caller.session, None)


__all__ = ["_", "act", "ask", "can", "error_page", "failed", "go", "page"]
