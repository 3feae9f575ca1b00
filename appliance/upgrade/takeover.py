"""An upgrade of a home, and the way back. The version before may go on answering from it all the while.

The keys are opened by whoever starts this, root where they are sealed for it; everything else is done as the
owner of the home.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from appliance import clock, config, keys
from appliance import home as homes
from appliance.blobs import told_when_full
from appliance.db import Row
from appliance.db.audit import HEAD_FILE
from appliance.db.migrations import names, registry, telemetry
from appliance.errors import Conflict, FalajError, NoSpace
from appliance.home import Home
from appliance.keys import KeyRing, sync_folder
from appliance.process import become_owner_of
from appliance.upgrade import snapshots
from appliance.upgrade.held import Held
from appliance.upgrade.rehearsal import check_models, rehearse
from appliance.upgrade.snapshots import Names

log = logging.getLogger(__name__)

_SPARE = 64 << 20  # bytes that are left for those who go on writing
_DATABASES = ("registry.db", "telemetry.db")
_REPLACED = (HEAD_FILE, *_DATABASES)  # a head that is behind its chain does no harm


def known() -> Names:
    """The migrations that this program knows."""
    return {"registry": names(registry), "telemetry": names(telemetry)}


def upgrade(path: Path, old: str, new: str) -> None:
    """Take a snapshot, and show on a copy of it that this program can take over; nothing is changed.

    Raises FalajError with the reason.
    """
    ring = _opened_as_owner(path)
    if ring is None:
        config.load(path)
        return
    home = homes.open_home(path, ring)
    with told_when_full():
        if snapshots.applied(home) == known():
            check_models(home)
            return
        _check_room(home)
        staged = snapshots.stage(home, old, new)
        try:
            rehearse(home, staged)
            snapshots.keep(home, staged, old, new)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def migrate(path: Path, old: str, new: str) -> None:
    """Bring a home to this program's schema, after `upgrade` has passed; the audit chain says so.

    Raises FalajError with the reason; the databases are as they were then.
    """
    ring = _opened_as_owner(path)
    if ring is None:
        return
    home = homes.open_home(path, ring)
    with (  # an error in either undoes both
        told_when_full(),
        home.registry.migrated(registry) as tx,
        home.telemetry.migrated(telemetry),
    ):
        tx.audit("system", "upgrade.done", "program", {"from": old, "to": new})


def take_back(
    path: Path,
    old: str,
    new: str,
    program: Names,
    alone: Callable[[Path], AbstractContextManager[None]],
) -> str:
    """Make a home fit for a program that knows fewer migrations; the snapshot that was put back, or nothing.

    Nothing of the appliance may be running, which `alone` sees to. What was there is kept in
    HOME/upgrade/after-TIME. Cut short, it is done by being done again: no file is ever missing,
    and the telemetry, which is replaced last, says that it is not over. Raises Conflict where none fits.
    """
    ring = _opened_as_owner(path)
    if ring is None:
        return ""
    with alone(path):
        put_back = _taken_back(path, ring, program)
        _record_back(path, ring, {"from": new, "to": old, "snapshot": put_back or None})
    return put_back


def finish_back(path: Path, found: Held) -> None:
    """Make a home fit for this program, which goes on since a newer one was held. For who has it to himself.

    Raises Conflict where no snapshot fits.
    """
    if not (path / "registry.db").exists():
        return
    ring = keys.open_keys(path)
    if put_back := _taken_back(path, ring, known()):
        log.warning("version %s goes on from the snapshot %s", found.old, put_back)
        _record_back(path, ring, {"from": found.new, "to": found.old, "snapshot": put_back})


def applied(path: Path) -> Names:
    """The migrations that the databases of a home have had; none where there is no home yet."""
    ring = _opened_as_owner(path)
    return (_present(path, ring) or {}) if ring is not None else {}


def fits(found: Names, program: Names) -> bool:
    """Whether a program with these migrations can read databases that have had those."""
    return all(set(had) <= set(program.get(name, ())) for name, had in found.items())


def _record_back(path: Path, ring: KeyRing, told: Row) -> None:
    """In the chain that goes on; a disk that takes nothing must not keep the version before from starting."""
    home = homes.assemble(config.load(path), ring)
    try:
        with home.registry.write() as tx:
            tx.audit("system", "upgrade.back", "program", told)
    except FalajError as error:
        log.warning("the way back is not in the audit chain: %s", error.message)


def _taken_back(path: Path, ring: KeyRing, program: Names) -> str:
    present = _present(path, ring)
    if present is not None and fits(present, program):
        return ""
    fitting = [one for one in snapshots.all_of(path) if fits(one.names, program)]
    if not fitting:
        raise Conflict(
            "There is no snapshot that the version before could read.",
            "Install a mended version; nothing was changed.",
        )
    chosen, stamp = fitting[0], clock.now().replace(":", "")
    with told_when_full():
        try:
            for name in _REPLACED:
                if (chosen.path / name).exists():
                    shutil.copy2(chosen.path / name, path / f"{name}.back")
                    snapshots.sync(path / f"{name}.back")
        except OSError:
            for name in _REPLACED:
                (path / f"{name}.back").unlink(missing_ok=True)
            raise
        aside = snapshots.folder_of(path) / f"after-{stamp}"
        aside.mkdir(mode=0o700)
        for name in _REPLACED:
            log = [one for one in (path / f"{name}-wal", path / f"{name}-shm") if one.exists()]
            for one in (*filter(Path.exists, [path / name]), *log):
                os.link(one, aside / one.name)
            for one in log:  # it must not be read with another database
                one.unlink()
            if (path / f"{name}.back").exists():
                (path / f"{name}.back").rename(path / name)
            sync_folder(path)
    return chosen.path.name


def _opened_as_owner(path: Path) -> KeyRing | None:
    """The keys of a home, None where there is none to speak of yet; from then on its owner acts."""
    if not path.exists():
        return None
    ring = keys.open_keys(path) if (path / "registry.db").exists() or (path / "upgrade").exists() else None
    become_owner_of(path)
    return ring


def _present(path: Path, ring: KeyRing) -> Names | None:
    """The migrations of the databases that are there; None after a way back that was cut short."""
    if not all((path / name).exists() for name in _DATABASES):
        return None
    home = homes.assemble(config.load(path), ring)
    found = snapshots.applied(home)
    home.registry.close()
    home.telemetry.close()
    return found


def _check_room(home: Home) -> None:
    """Raises NoSpace unless a snapshot, a copy of it and what the migrations write have room at once."""
    files = [one for name in _DATABASES for one in home.path.glob(f"{name}*")]
    needed = 2 * sum(one.stat().st_size for one in files) + _SPARE
    free = shutil.disk_usage(home.path).free
    if free < needed:
        raise NoSpace(
            f"The upgrade needs {(needed >> 20) + 1} MiB on the disk, {free >> 20} are free.",
            "Free some space, then run: sudo falaj upgrade retry",
        )
