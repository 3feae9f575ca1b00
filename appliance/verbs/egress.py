"""Verbs on calls out of this machine: which are allowed, what was called and refused, and trying one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from appliance import clock, presence
from appliance.app import App
from appliance.db import Row
from appliance.egress import client, outward, rules
from appliance.egress.counts import DONE, FAILED, REFUSED
from appliance.errors import BadInput, FalajError, Forbidden, Unavailable
from appliance.home import Home
from appliance.monitoring import outgoing
from appliance.registry import egress
from appliance.verbs.call import Call
from appliance.verbs.check import Check

_LONGEST_PURPOSE = 200
_MOST_RULES = 500
_TRY_SECONDS = 10.0
_DAY = timedelta(hours=24)


def ls(app: App, call: Call) -> Row:
    """The rules, and what was called, refused and failed in the last 24 hours."""
    since = clock.stamp(datetime.now(UTC) - _DAY)
    return {
        "rules": [one.summary() for one in egress.every(app.home.registry)],
        "calls": outgoing.recent(app.home.telemetry, since),
        "in_force": outgoing.in_force(app.home),
    }


def allow(app: App, call: Call) -> Row:
    """Let this machine call a host and port from now on."""
    rule, purpose = rules.parse(call.text("address")), " ".join(call.text("purpose").split())
    if not 0 < len(purpose) <= _LONGEST_PURPOSE:
        raise BadInput(
            f"What the connection is for takes 1 to {_LONGEST_PURPOSE} letters.", "Say it in a few words."
        )
    with app.home.registry.write() as tx:
        egress.add(tx, rule, purpose, call.actor)
        if len(egress.every(tx)) > _MOST_RULES:
            raise BadInput(f"{_MOST_RULES} addresses are allowed already.", "Take back what is not needed.")
    return {"address": str(rule), "purpose": purpose, "in_force": _in_force(app.home)}


def deny(app: App, call: Call) -> Row:
    """Take a rule back; calls that it allowed are refused from now on."""
    rule = rules.parse(call.text("address"))
    with app.home.registry.write() as tx:
        egress.remove(tx, rule, call.actor)
    return {"address": str(rule), "removed": True, "in_force": _in_force(app.home)}


def test(app: App, call: Call) -> Row:
    """Get a URL once, as any part of the appliance would; whether it was refused, and what came back."""
    url = call.text("url")
    host, port = outward.place(url)
    found: Row = {"address": rules.shown(host, port), "status": None, "bytes": 0, "error": "", "hint": ""}
    began, place = time.monotonic(), app.home.config.egress_dir
    client.ask(place, "ready")  # one that hangs is told at once
    try:
        answer = client.request(place, "GET", url, deadline=_TRY_SECONDS)
        found |= {"verdict": DONE, "status": answer.status, "bytes": len(answer.body)}
    except FalajError as error:
        if isinstance(error, Unavailable) and client.is_ready(place) is None:
            raise
        verdict = REFUSED if isinstance(error, Forbidden) else FAILED
        found |= {"verdict": verdict, "error": error.message, "hint": error.hint}
    with app.home.registry.write() as tx:
        tx.audit(call.actor, "egress.test", f"egress:{found['address']}", {"verdict": found["verdict"]})
    return found | {"seconds": round(time.monotonic() - began, 3)}


def check(home: Home) -> Check:
    """The doctor's: whether calls out are answered for, and by the rules that are written down."""
    count = len(egress.every(home.registry))
    told = "nothing may leave this machine"
    if count:
        told = f"{count} {'address' if count == 1 else 'addresses'} may be called, and no other"
    if not presence.present(home.run_dir, "worker"):
        return Check("egress", True, f"not checked while the appliance does not run; {told}")
    if client.is_ready(home.config.egress_dir) is None:
        return Check(
            "egress", False, "the part that calls out does not answer, so nothing leaves this machine",
            "See the log of the appliance, then stop it and start it again.",
        )  # fmt: skip
    if not outgoing.in_force(home):
        return Check(
            "egress", False, "other addresses may be called than are written down",
            "Wait some seconds; if it stays so, stop the appliance and start it again.",
        )  # fmt: skip
    return Check("egress", True, told)


def _in_force(home: Home) -> bool:
    """Put the rules in force now; where that fails the worker goes on trying, every two seconds."""
    try:
        outgoing.put_in_force(home)
    except FalajError:
        return False
    return True
