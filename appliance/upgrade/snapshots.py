"""Snapshots of what an upgrade changes: both databases and the head of the audit chain. No keys.

They lie in HOME/upgrade/FROM-TO, each whole or not there: it is made beside, and renamed. The newest two are
kept. They are as sealed as the databases themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import clock
from appliance.db import Row
from appliance.db.audit import HEAD_FILE
from appliance.db.migrations import registry, telemetry
from appliance.home import Home
from appliance.keys import sync_folder, write_file

KEPT = 2
UNFINISHED = ".new"
_FACTS = "snapshot.json"
Names = dict[str, list[str]]  # database -> the migrations that it has had, or that a program knows


@dataclass(frozen=True)
class Snapshot:
    """`names`: the migrations that its databases have had."""

    path: Path
    old: str
    new: str
    at: str
    names: Names

    def as_json(self) -> Row:
        size = sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())
        return {"name": self.path.name, "from": self.old, "to": self.new, "at": self.at, "bytes": size}


def folder_of(path: Path) -> Path:
    return path / "upgrade"


def applied(home: Home) -> Names:
    """The migrations that the databases of a home have had."""
    return {"registry": home.registry.applied(registry), "telemetry": home.telemetry.applied(telemetry)}


def stage(home: Home, old: str, new: str) -> Path:
    """Take a snapshot that does not count yet. Writers may go on meanwhile.

    The head is copied first: entries that are added meanwhile only lie beyond it.
    """
    folder = folder_of(home.path)
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in folder.glob(".*"):  # what a try before left when it was killed
        shutil.rmtree(one, ignore_errors=True)
    staged = folder / UNFINISHED
    staged.mkdir(mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(home.path / HEAD_FILE, staged / HEAD_FILE)
    for store in (home.registry, home.telemetry):
        store.copy_to(staged / store.path.name)
    facts = {"from": old, "to": new, "at": clock.now(), "names": applied(home)}
    for one in filter(Path.is_file, staged.rglob("*")):
        sync(one)
    write_file(staged / _FACTS, json.dumps(facts).encode())
    return staged


def keep(home: Home, staged: Path, old: str, new: str) -> Snapshot:
    """Let a staged snapshot count, and forget the oldest.

    Where an earlier try of the same upgrade was killed in its switch, what it took before that stays.
    """
    folder = folder_of(home.path)
    goal = folder / f"{_safe(old)}-{_safe(new)}"
    there = _read(goal)
    if there is not None and there.names != applied(home):
        shutil.rmtree(staged)
        return there
    if goal.exists():
        goal.rename(folder / ".old")
    staged.rename(goal)
    sync_folder(folder)
    shutil.rmtree(folder / ".old", ignore_errors=True)
    for one in all_of(home.path)[KEPT:]:
        shutil.rmtree(one.path, ignore_errors=True)
    kept = _read(goal)
    assert kept is not None
    return kept


def all_of(path: Path) -> list[Snapshot]:
    """The snapshots of a home, newest first."""
    try:
        found = [_read(one) for one in folder_of(path).iterdir() if not one.name.startswith(".")]
    except OSError:
        return []
    return sorted(filter(None, found), key=lambda one: one.at, reverse=True)


def sync(path: Path) -> None:
    """Make a file that was copied survive a power cut."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _read(path: Path) -> Snapshot | None:
    try:
        facts: dict[str, Any] = json.loads((path / _FACTS).read_text())
        return Snapshot(path, facts["from"], facts["to"], facts["at"], facts["names"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _safe(version: str) -> str:
    return "".join(one if one.isalnum() or one in ".+~" else "_" for one in version)
