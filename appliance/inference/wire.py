"""JSON in and out, and request ids: what every HTTP door shares.

orjson does the work; only when it refuses a body that holds NaN or Infinity (which real clients send) is
the standard library asked. Every text and number that was read can be written again, in an answer or in an
error that quotes it. NaN in an answer is written as null.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from time import time_ns
from typing import Any

import orjson

from appliance.errors import BadInput

_TOKENS = re.compile(rb"\b(?:NaN|Infinity)\b")
_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
_next = itertools.count().__next__


def _bits() -> str:
    """What tells the ids of this process from all others: 19 bits of version and variant, 48 random ones."""
    unique = int.from_bytes(os.urandom(6), "big")
    return f"7{unique >> 36 & 0xFFF:03x}{0x8 | unique >> 34 & 0x3:x}{unique & 0x3FFFFFFFF:09x}"


_own = _bits()


def _reseed() -> None:
    """A forked worker must not repeat its parent's ids."""
    global _own
    _own = _bits()


os.register_at_fork(after_in_child=_reseed)


def request_id() -> str:
    """A new UUIDv7 (RFC 9562, 5.7) as 32 hex digits: sorts by time; process-random bits, then a counter."""
    return "%012x%s%06x" % (time_ns() // 1_000_000, _own, _next() & 0xFFFFFF)  # noqa: UP031 - half the time


def loads(body: bytes) -> dict[str, Any]:
    """The JSON object that a request body is. Raises BadInput saying what is wrong with it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        document = _with_tokens(body, error)
    if type(document) is not dict:
        raise BadInput(
            f"The request body must be a JSON object, but is {name_of(document)}.",
            'It starts with "{" and ends with "}"; see docs/serving.md for examples.',
        )
    return document


def _with_tokens(body: bytes, error: orjson.JSONDecodeError) -> Any:
    if not body.strip():
        raise BadInput("The request body is empty.", "Send a JSON object; see docs/serving.md for examples.")
    if _TOKENS.search(body):
        try:
            document = json.loads(body.decode())
        except (ValueError, RecursionError):
            pass
        else:
            _refuse_unwritable(document)
            return document
    raise BadInput(
        f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
        "Check the quotes and commas; text must be UTF-8.",
    ) from error


def _refuse_unwritable(document: Any) -> None:
    """The standard library reads half characters (U+D800) and endless integers, which orjson cannot write."""
    try:
        orjson.dumps(document)
    except TypeError as error:
        raise BadInput(
            f"The request body holds a value that cannot be used: {error}.",
            "Whole numbers must fit in 64 bits and texts be valid Unicode; do not nest lists deeply.",
        ) from error


def dumps(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def dumps_error(body: dict[str, Any]) -> bytes:
    """The body of an error, all of it text; never raises: what is no valid Unicode becomes "?"."""
    try:
        return dumps(body)
    except TypeError:
        return dumps({key: str(text).encode(errors="replace").decode() for key, text in body.items()})


def name_of(value: Any) -> str:
    """What kind of JSON value this is, in words."""
    return _NAMES.get(type(value)) or type(value).__name__
