"""Verbs on the audit chain."""

from __future__ import annotations

import json

from appliance.app import App
from appliance.db import Row, audit
from appliance.errors import Corrupted
from appliance.verbs.call import Call

_ALL = "SELECT * FROM audit ORDER BY seq"


def ls(app: App, call: Call) -> list[Row]:
    """The newest entries (before one of them), newest first."""
    limit = int(call.number("limit", 50, 1, 10_000))
    before = int(call.number("before", 2**53, 1, 2**53))
    rows = app.home.registry.all(
        "SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?", (before, limit)
    )
    return [row | {"detail": json.loads(row["detail"])} for row in rows]


def verify(app: App, call: Call) -> Row:
    """Check every entry against the chain, and its end against the head kept outside the database.

    The head is read first: entries that others add meanwhile only lie beyond it.
    """
    head = audit.read_head(app.home.path)
    verdict = audit.verify(app.home.keys.key("audit"), app.home.registry.all(_ALL), head)
    return {"entries": verdict.entries, "ok": verdict.ok, "head": verdict.head, "why": verdict.why}


def export(app: App, call: Call) -> list[Row]:
    """All entries, oldest first; an export is itself audited. Raises Corrupted when the chain is broken."""
    verdict = verify(app, call)
    if not verdict["ok"]:
        raise Corrupted(
            f"The audit chain is broken: {verdict['why']}.", "Look at it with: falaj audit verify"
        )
    with app.home.registry.write() as tx:
        tx.audit(
            call.actor, "audit.export", "audit", {"entries": verdict["entries"], "head": verdict["head"]}
        )
    return app.home.registry.all(_ALL)
