"""What a dataset or a model may be called, and how `NAME:VERSION` is written.

Names appear in URLs that clients do not escape and beside fixed words of the Open Inference
Protocol, so both are kept out here, once.
"""

from __future__ import annotations

import re

from appliance.errors import BadInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_RESERVED = {"stats", "ready", "versions", "infer", "config"}


def check_name(name: str, what: str) -> str:
    """The name itself when it may be used. Raises BadInput otherwise."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"The name of a {what} can't be {_short(name)!r}.",
            "Use 1 to 100 of the letters a-z, digits, '-', '_' and '.', and begin with a letter or digit.",
        )
    if name in _RESERVED:
        raise BadInput(f"The name '{name}' is reserved.", f"Choose another name for this {what}.")
    return name


def parse_reference(reference: str, what: str) -> tuple[str, int | None]:
    """`NAME` or `NAME:VERSION` as (name, version)."""
    name, colon, version = reference.partition(":")
    if colon and not (version.isascii() and version.isdigit() and 0 < int(version) < 2**31):
        raise BadInput(
            f"The version of {what} '{_short(name)}' must be a number. Got {_short(version)!r} instead.",
            f"Write it as {_short(name)}:1",
        )
    return check_name(name, what), int(version) if colon else None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
