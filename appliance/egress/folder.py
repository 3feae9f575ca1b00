"""The folder where the egress role is asked: its socket, and the addresses that it may call.

The appliance writes `allowed.json` whole; the role reads it for each call. What can't be read allows nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.egress.rules import Rule
from appliance.errors import FalajError

_LONGEST = 4 << 20


def socket_path(folder: Path) -> Path:
    return folder / "egress.sock"


def read_allowed(folder: Path) -> list[Rule] | None:
    """The rules in force; None where they can't be read, which allows nothing."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with open(folder / "allowed.json", "rb") as file:
            told = json.loads(file.read(_LONGEST))
        return [Rule(str(one["host"]), int(one["port"])) for one in told["rules"]]
    return None


def write_allowed(folder: Path, rules: Sequence[Rule]) -> None:
    """Put rules in force. Raises FalajError."""
    content = json.dumps({"rules": [vars(rule) for rule in rules]}, indent=1)
    temporary = folder / f".allowed.json.{os.getpid()}.{threading.get_ident()}"
    try:
        with open(temporary, "w") as file:
            os.fchmod(file.fileno(), 0o640)  # the folder's group is that of the egress role
            file.write(content)
        temporary.rename(folder / "allowed.json")
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FalajError(
            f"The addresses that may be called could not be put in force: {error.strerror}.",
            "Start the appliance again, then look: falaj egress ls",
        ) from error


def prepare(folder: Path) -> None:
    """Make the folder, ours alone; one that the package has made for the role's group stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o027:
        raise FalajError(f"{folder} belongs to somebody else.", "Remove it, or set FALAJ_RUN_DIR.")


def clear(folder: Path) -> None:
    """Remove what an appliance that has stopped left there, and the folder."""
    with contextlib.suppress(OSError):
        for left in (socket_path(folder), folder / "allowed.json", *folder.glob(".allowed.json.*")):
            left.unlink(missing_ok=True)
        folder.rmdir()
