"""The audit chain for people: who did what, whether the chain is whole, and all of it as a file."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, current_app, request

from appliance.admin.rendering import ask, page
from appliance.doors import access

blueprint = Blueprint("audit", __name__)
_A_PAGE = 100


@blueprint.get("/audit")
@access.needs("audit.ls")
def audit() -> Any:
    return page("audit.html", **_entries(), verdict=None)


@blueprint.post("/audit/verify")
@access.needs("audit.verify")
def verify() -> Any:
    return page("audit.html", **_entries(), verdict=ask("audit.verify"))


@blueprint.post("/audit/export")
@access.needs("audit.export")
def export() -> Any:
    """All entries as JSON Lines, oldest first."""
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in ask("audit.export"))
    response = current_app.make_response(lines.encode())
    response.headers["Content-Type"] = "application/jsonl"
    response.headers["Content-Disposition"] = 'attachment; filename="falaj-audit.jsonl"'
    return response


def _entries() -> dict[str, Any]:
    before = request.args.get("before", type=int)
    found = ask("audit.ls", limit=_A_PAGE, before=before)
    older = found[-1]["seq"] if found and found[-1]["seq"] > 1 else None
    return {"entries": found, "older": older, "newest": before is None}
