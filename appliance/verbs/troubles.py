"""What is wrong with the machine under the appliance, in plain words: disk, data directory, databases, clock.

Looked at once a second by whoever has the page open, so every look is cheap; `falaj doctor` is the thorough
one. Works in every state, also when no database can be read. The page translates the words, so they are
fixed sentences with values.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from appliance.db import Row
from appliance.db.mishap import Mishap
from appliance.home import Home
from appliance.upgrade import held
from appliance.verbs import clock_jump

# what is wrong, what to do; %(name)s is filled in
FULL = ("The disk is full: nothing new can be saved.", "Free some space; all goes on by itself then.")
NEARLY_FULL = (
    "The disk is almost full: only %(free)s MiB are free, and no import is begun below %(needed)s.",
    "Free some space.",
)
READ_ONLY = (
    "The data directory cannot be written: nothing new can be saved.",
    "See whether its disk was mounted read-only after an error, and to whom the directory belongs.",
)
NOT_THERE = (
    "The data directory cannot be reached.",
    "See whether its disk is there, and to whom the directory belongs.",
)
QUOTA = (
    "%(file)s cannot grow: the disk, or this account's share of it, is full.",
    "Free some space; all goes on by itself then.",
)
FAILING = (
    "%(file)s could not be read or written: the disk may be failing.",
    "Make a backup now, then have the disk checked.",
)
DAMAGED = (
    "%(file)s is damaged: what was stored there cannot be read.",
    "Stop the appliance, restore a backup of the data directory, and start it again.",
)
SHUT = (
    "%(file)s cannot be opened for writing.",
    "See to whom the files of the data directory belong, and whether they may be written.",
)
FORWARD = (
    "The clock of this machine was moved forward by %(minutes)s minutes; seen at %(at)s UTC.",
    "Check the clock. While it is wrong, records carry the wrong time, and sign-ins and tokens end early.",
)
BACK = (
    "The clock of this machine was moved back by %(minutes)s minutes; seen at %(at)s UTC.",
    "Check the clock. While it is wrong, records carry the wrong time, and sign-ins and tokens end late.",
)
TAKEN_BACK = (
    "Version %(old)s was put back by hand: version %(new)s is installed and waits.",
    "To have it take over again: sudo falaj upgrade retry",
)
UNREADY = (
    "Version %(new)s has not been set up yet. Version %(old)s goes on.",
    "Nothing is lost. Wait a minute; if it stays so: sudo dpkg --configure -a",
)
HELD = (
    "Version %(new)s could not take over: %(why)s Version %(old)s goes on.",
    "Nothing is lost. Install a mended version, or try again: sudo falaj upgrade retry",
)
WORDS = (
    TAKEN_BACK,
    UNREADY,
    HELD,
    FULL,
    NEARLY_FULL,
    READ_ONLY,
    NOT_THERE,
    QUOTA,
    FAILING,
    DAMAGED,
    SHUT,
    FORWARD,
    BACK,
)

_STORES = {Mishap.FULL: QUOTA, Mishap.FAILING: FAILING, Mishap.DAMAGED: DAMAGED, Mishap.SHUT: SHUT}
_EXPLAINED = {
    READ_ONLY: {Mishap.SHUT, Mishap.FULL, Mishap.FAILING},
    FULL: {Mishap.FULL, Mishap.FAILING},
    NOT_THERE: set(Mishap),
}
_NO_ROOM = 64 * 1024  # bytes: not even a small change of the registry fits


@dataclass(frozen=True)
class Trouble:
    """`words` is one of the pairs above."""

    words: tuple[str, str]
    values: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> Row:
        return {"trouble": self.words[0] % self.values, "fix": self.words[1]}


def find(home: Home) -> list[Trouble]:
    """All there is; nothing when all is well."""
    met = {store.path.name: mishap for store in (home.registry, home.telemetry) if (mishap := store.mishap())}
    place = _place(home, suspected=bool(met))
    return [*_held(home), *place, *_stores(met, place), *_clock(home)]


def _place(home: Home, suspected: bool) -> list[Trouble]:
    """The data directory and its disk; what can't be written at all is told instead of the room left.

    `suspected`: something could not be written, so that it is worth a try: a disk that the kernel made
    read-only after an error may still be called writable.
    """
    try:
        read_only = bool(os.statvfs(home.path).f_flag & os.ST_RDONLY)
        free = shutil.disk_usage(home.path).free
    except OSError:
        return [Trouble(NOT_THERE)]
    if (
        read_only
        or not os.access(home.path, os.W_OK | os.X_OK)
        or (suspected and not _takes_files(home.path))
    ):
        return [Trouble(READ_ONLY)]
    if free < _NO_ROOM:
        return [Trouble(FULL)]
    needed = home.config.data.min_free_mb
    if free >> 20 < needed:
        return [Trouble(NEARLY_FULL, {"free": str(free >> 20), "needed": str(needed)})]
    return []


def _takes_files(folder: Path) -> bool:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as error:
        return error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM)
    return True


def _stores(met: dict[str, Mishap], place: list[Trouble]) -> list[Trouble]:
    """What some process has met with the databases, unless the disk as a whole explains it."""
    known = {mishap for trouble in place for mishap in _EXPLAINED.get(trouble.words, ())}
    return [Trouble(_STORES[mishap], {"file": name}) for name, mishap in met.items() if mishap not in known]


def _held(home: Home) -> list[Trouble]:
    found = held.read(home.path)
    return [] if found is None else [held_trouble(found)]


def held_trouble(found: held.Held) -> Trouble:
    """An upgrade that is held, in words."""
    words = {held.BY_HAND: TAKEN_BACK, held.UNREADY: UNREADY}.get(found.why, HELD)
    return Trouble(words, {"old": found.old, "new": found.new, "why": found.why})


def _clock(home: Home) -> list[Trouble]:
    seen = clock_jump.look(home.run_dir)
    return [clock_trouble(seen)] if seen.by else []


def clock_trouble(seen: clock_jump.Seen) -> Trouble:
    """A jump in words."""
    values = {"minutes": str(round(abs(seen.by) / 60)), "at": seen.at[:16].replace("T", " ")}
    return Trouble(FORWARD if seen.by > 0 else BACK, values)
