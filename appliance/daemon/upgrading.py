"""The steps of an upgrade: each a process of its own, which answers in one line and by its exit status."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from appliance.errors import FalajError
from appliance.home import alone
from appliance.upgrade import takeover

log = logging.getLogger(__name__)


def answer(role: str, home: Path, old: str, new: str, known: str) -> int:
    """Do a step. 0: done, the line is its result. 1: nothing was changed, the line says why."""
    try:
        match role:
            case "upgrade":
                takeover.upgrade(home, old, new)
            case "migrate":
                takeover.migrate(home, old, new)
            case "take-back":
                print(takeover.take_back(home, old, new, json.loads(known), alone))
            case "applied":
                print(json.dumps(takeover.applied(home)))
            case "migrations":
                print(json.dumps(takeover.known()))
    except FalajError as error:
        print(_one_line(error.message), flush=True)
        return 1
    except Exception as error:  # whatever a new program does wrong, the old one goes on
        log.exception("%s ended with an error", role)
        print(_one_line(f"The program failed with {type(error).__name__}: {error}"), flush=True)
        return 1
    return 0


def _one_line(text: str) -> str:
    """Words for a note and a log, always with a full stop."""
    told = " ".join(text.split())[:300]
    return told if told.endswith((".", "!")) else f"{told}."
