"""Style sheets, scripts and pictures. Addresses change with the content, so browsers may keep them."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from flask import Blueprint, send_from_directory

from appliance.admin.language import WEB
from appliance.doors import access

blueprint = Blueprint("assets", __name__)
_STATIC = WEB / "static"


@blueprint.get("/assets/<digest>/<path:name>")
@access.needs(access.OPEN)
def asset_file(digest: str, name: str) -> Any:
    """One file; a digest of another day gives today's file, which then isn't kept."""
    response = send_from_directory(_STATIC, name)
    current = digest == _digest(name)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
    return response


@blueprint.get("/favicon.ico")
@access.needs(access.OPEN)
def favicon() -> Any:
    return send_from_directory(_STATIC, "icon.svg")


def asset(name: str) -> str:
    """The address of a static file."""
    return f"/assets/{_digest(name)}/{name}"


@functools.lru_cache(maxsize=256)
def _digest(name: str) -> str:
    try:
        return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    except OSError:  # not built: the page tells, by its looks
        return "missing"
