"""Verbs on the recovery key."""

from __future__ import annotations

from dataclasses import asdict

from appliance.app import App
from appliance.db import Row
from appliance.home import Home
from appliance.security import backoff, recovery
from appliance.security.backoff import Attempt
from appliance.verbs.call import Call
from appliance.verbs.check import Check

_TRIES = Attempt("the recovery key", "the recovery key")


def show(app: App, call: Call) -> Row:
    """Whether there is one, since when, and when somebody last proved to have it."""
    return _told(app.home)


def make(app: App, call: Call) -> Row:
    """A new recovery key, told once; the one before opens nothing any more."""
    return {"key": recovery.make(app.home, call.actor)} | _told(app.home)


def check(app: App, call: Call) -> Row:
    """Whether the `key` opens what it must. Raises Forbidden for another one, and after many Overloaded."""
    typed = call.text("key")
    backoff.begin(app.home.telemetry, _TRIES)
    recovery.check(app.home, typed, call.actor)
    backoff.succeed(app.home.telemetry, _TRIES)
    return _told(app.home)


def examine(home: Home) -> Check:
    """For the doctor; none yet is advice, not trouble."""
    found = recovery.standing(home)
    if found is None:
        return Check(
            "recovery",
            True,
            "no recovery key was made yet",
            "Make one and write it down: falaj recovery make",
        )
    checked = f"last checked {found.checked_at[:10]}" if found.checked_at else "never checked since"
    advice = "" if found.checked_at else "Check that you can read what you wrote down: falaj recovery check"
    return Check("recovery", True, f"made {found.made_at[:10]}, {checked}", advice)


def _told(home: Home) -> Row:
    found = recovery.standing(home)
    empty = {"made_at": None, "made_by": None, "checked_at": None, "checked_by": None}
    return {"made": found is not None} | (asdict(found) if found else empty)
