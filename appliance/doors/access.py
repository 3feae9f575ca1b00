"""What a route asks of its caller, declared at the view, checked before it runs. No declaration, no entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from appliance.security.roles import PERMISSIONS

OPEN = "open"  # always, for anybody: health, style sheets
SETUP = "setup"  # only until the first user is set up
ENTRY = "entry"  # for anybody once somebody is set up: sign-in, the API's description
OWN_ACCOUNT = "own-account"  # anybody who is known, also while the password is still the one-time one
_WORDS = {OPEN, SETUP, ENTRY, OWN_ACCOUNT}

_View = TypeVar("_View", bound=Callable[..., Any])


def needs(what: str, *, upload: bool = False) -> Callable[[_View], _View]:
    """Declare a view's need: one of the words above, or the verb that it is for.

    `upload`: the view reads its form with `doors.uploads`, which checks the form's token.
    """
    assert what in _WORDS or what in PERMISSIONS, what

    def declare(view: _View) -> _View:
        view.needs, view.upload = what, upload  # type: ignore[attr-defined]
        return view

    return declare


def need_of(view: Callable[..., Any]) -> str | None:
    found: str | None = getattr(view, "needs", None)
    return found


def takes_upload(view: Callable[..., Any] | None) -> bool:
    return bool(getattr(view, "upload", False))
