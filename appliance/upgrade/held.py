"""The note that the version before goes on, since an upgrade failed or was taken back.

While it is there the launchers start the program before (`PREVIOUS`). Root writes it, everybody reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from appliance import clock
from appliance.config import SYSTEM_HOME
from appliance.keys import write_file

PROGRAM = Path("/usr/lib/falaj/venv")
PREVIOUS = Path("/usr/lib/falaj/previous")
SYSTEM_STATE = Path("/var/lib/falaj-upgrade")  # of the installed appliance: root's, which no role may write
UNREADY = "It has not been set up yet."  # what upgrade.sh writes before the files are unpacked
BY_HAND = "It was taken back by hand."


@dataclass(frozen=True)
class Held:
    """`old` goes on, `new` is installed and does not run."""

    old: str
    new: str
    why: str
    at: str

    def as_json(self) -> dict[str, str]:
        return {"from": self.old, "to": self.new, "why": self.why, "at": self.at}


def path_of(home: Path) -> Path:
    """Where the note of a home lies."""
    return (SYSTEM_STATE if home == SYSTEM_HOME else home / "upgrade") / "held"


def read(home: Path) -> Held | None:
    """What holds the upgrade of a home, if anything does; the file counts, whatever is in it."""
    try:
        told = json.loads(path_of(home).read_text())
        return Held(str(told["from"]), str(told["to"]), str(told["why"]), str(told["at"]))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Held("before", "now installed", "The note that says why cannot be read.", "")


def write(home: Path, old: str, new: str, why: str) -> None:
    """From the next start on, the version before runs."""
    path, told = path_of(home), json.dumps(Held(old, new, why, clock.now()).as_json()).encode()
    if home == SYSTEM_HOME:  # root writes, the roles read
        path.parent.mkdir(mode=0o755, exist_ok=True)
        return write_file(path, told, 0o644)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_file(path, told)
