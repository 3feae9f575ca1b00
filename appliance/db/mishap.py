"""What can go wrong with a database file, and a note of it on tmpfs that every process can read.

Whoever meets it leaves the note; only a proof that the file is well again removes it (`Store.mishap`). Other
processes may meet nothing: a damaged page hurts those alone who need it.
"""

from __future__ import annotations

import contextlib
import shutil
from enum import StrEnum
from pathlib import Path

from appliance.errors import Corrupted, FalajError, NoSpace, Unavailable

_NEARLY_FULL = 1 << 20


class Mishap(StrEnum):
    FULL = "full"  # no room, or the user's share of it is used up
    FAILING = "failing"  # the disk does not do what it is told
    DAMAGED = "damaged"  # what is there is not what was written
    SHUT = "shut"  # it may not be written, or not even be opened


def judge(text: str, path: Path) -> Mishap | None:
    """What SQLite's message says of the file; None for what is no fault of it (busy, a broken constraint)."""
    if "full" in text or ("disk I/O" in text and shutil.disk_usage(path.parent).free < _NEARLY_FULL):
        return Mishap.FULL
    if "disk I/O" in text:
        return Mishap.FAILING
    if "not a database" in text or "malformed" in text:
        return Mishap.DAMAGED
    if "readonly" in text or "unable to open" in text:
        return Mishap.SHUT
    return None


def told(mishap: Mishap, path: Path) -> FalajError:
    """The error for whoever wanted the file."""
    match mishap:
        case Mishap.FULL:
            return NoSpace("The disk is full, so nothing was saved.", "Free some space, then try again.")
        case Mishap.FAILING:
            return FalajError(
                f"{path.name} could not be read or written.", "The disk may be failing: back up, check it."
            )
        case Mishap.DAMAGED:
            return Corrupted(
                f"{path.name} cannot be read.", "Restore it from a backup, or check keys/master.key."
            )
        case Mishap.SHUT:
            return Unavailable(
                f"{path} cannot be opened for writing.", "Check the permissions of the data directory."
            )


class Note:
    """One file's note. Without a place for it nothing is noted."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self._path = folder / f"mishap.{name}" if folder else None

    def read(self) -> Mishap | None:
        if self._path is not None:
            with contextlib.suppress(OSError, ValueError):
                return Mishap(self._path.read_text())
        return None

    def leave(self, mishap: Mishap) -> None:
        """Damage outweighs what was noted before: it does not pass by itself."""
        if self._path is None or self.read() in (mishap, Mishap.DAMAGED):
            return
        with contextlib.suppress(OSError):  # the appliance has stopped
            self._path.write_text(mishap.value)

    def remove(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
