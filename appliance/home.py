"""One home, opened: its settings, keys, databases and blobs.

`create` is for whoever starts the appliance: it makes what is missing and migrates. `open_home` is for
every other process and changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import clock, config, keys
from appliance.blobs import Blobs, told_when_full
from appliance.config import Config
from appliance.db import Store
from appliance.db.audit import HEAD_FILE
from appliance.db.migrations import names, registry, telemetry
from appliance.errors import Conflict, Corrupted, FalajError
from appliance.keys import KeyRing
from appliance.registry import changes


@dataclass(frozen=True)
class Home:
    """What every process of the appliance works on."""

    config: Config
    keys: KeyRing
    registry: Store
    telemetry: Store
    blobs: Blobs

    @property
    def path(self) -> Path:
        return self.config.home

    @property
    def run_dir(self) -> Path:
        return self.config.run_dir

    def put(self, content: bytes) -> tuple[str, int]:
        """Seal bytes under the appliance's own blob key; (address, size)."""
        blob = self.blobs.put(content, self.keys.key("blobs"))
        return blob.digest, blob.bytes

    def get(self, digest: str) -> bytes:
        """What `put` stored. Raises Corrupted."""
        return self.blobs.get(digest, self.keys.key("blobs"))


def create(path: Path) -> Home:
    """Make the home if it isn't there yet, and bring its databases up to date."""
    make_folder(path)
    with told_when_full():
        try:
            settings = config.load(path)
            ring = keys.create_keys(path)
            prepare_run_dir(settings.run_dir)
        except PermissionError as error:
            raise FalajError(
                f"{error.filename} cannot be written.", "Act as its owner, or choose another --home."
            ) from error
    _refuse_lost_registry(path)
    home = assemble(settings, ring, create=True)
    _refuse_newer(home)
    home.registry.migrate(registry)
    home.telemetry.migrate(telemetry)
    if home.registry.one("SELECT 1 FROM audit LIMIT 1") is None:
        with home.registry.write() as tx:
            tx.audit("system", "appliance.create", "appliance", {"at": clock.now()})
    changes.record(home.registry, settings)
    return home


def tidy(path: Path) -> None:
    """Remove what killed processes had half written; nothing of the appliance may be running."""
    for folder in (path, path / "keys", path / "tls"):
        keys.remove_unfinished(folder)
    for one in path.glob("*.back"):  # of a way back to another version, which begins anew
        one.unlink()


def make_folder(path: Path) -> None:
    """Make the data directory, readable by its owner only. Raises FalajError when it can't be."""
    with told_when_full():
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid == os.geteuid():
                path.chmod(0o700)
            for folder in ("keys", "blobs", "logs"):
                (path / folder).mkdir(mode=0o700, exist_ok=True)
            keys.sync_folder(path)
        except PermissionError as error:
            raise FalajError(
                f"{error.filename} cannot be written.", "Act as its owner, or choose another --home."
            ) from error
        except (FileExistsError, NotADirectoryError) as error:
            raise FalajError(f"{error.filename} is not a folder.", "Choose another --home.") from error


def open_home(path: Path, ring: KeyRing | None = None) -> Home:
    """Open a home that exists, with keys that may be open already. Raises FalajError when there is none."""
    home = assemble(config.load(path), ring or keys.open_keys(path))
    quiet = replace(home, registry=home.registry.unnoted(), telemetry=home.telemetry.unnoted())
    _refuse_newer(quiet)
    return home


def prepare_run_dir(folder: Path) -> None:
    """Make the folder on tmpfs, ours alone: somebody else's folder of that name is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FalajError(f"{folder} belongs to somebody else.", "Remove it, or set FALAJ_RUN_DIR.")
    folder.chmod(0o700)


def _refuse_lost_registry(path: Path) -> None:
    """An empty registry beside existing data would look like a fresh start, and everything be swept away."""
    if not (path / "registry.db").exists() and (path / HEAD_FILE).exists():
        raise Corrupted(
            f"{path} holds an appliance's data, but its registry.db is missing.",
            "Restore registry.db from a backup; nothing has been changed.",
        )


def _refuse_newer(home: Home) -> None:
    """No program may work on what a newer one has written. What can't be read is told by whoever needs it."""
    for store, known in ((home.registry, registry), (home.telemetry, telemetry)):
        applied: list[str] = []
        with contextlib.suppress(FalajError):
            applied = store.applied(known)
        store.close()
        if not set(applied) <= set(names(known)):
            raise Conflict(
                "The data was written by a newer version of Falaj.",
                "Run: sudo falaj upgrade back, or install that version.",
            )


def assemble(settings: Config, ring: KeyRing, create: bool = False) -> Home:
    """A home as it is, whoever has written it."""
    path, notes = settings.home, settings.run_dir
    return Home(
        config=settings,
        keys=ring,
        registry=Store(
            path / "registry.db", ring.key("registry"), ring.key("audit"), create=create, notes=notes
        ),
        telemetry=Store(
            path / "telemetry.db", ring.key("telemetry"), synchronous="NORMAL", create=create, notes=notes
        ),
        blobs=Blobs(path / "blobs"),
    )


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have the home to oneself, for as long as the block runs. Raises Conflict when an appliance runs."""
    make_folder(path)
    with _lock(path, fcntl.LOCK_EX):
        yield


@contextmanager
def among_others(path: Path) -> Iterator[None]:
    """Be one of the roles that run from the home, started each by itself.

    Raises Conflict while somebody has it to himself; children of such a one don't come here.
    """
    with _lock(path, fcntl.LOCK_SH):
        yield


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[None]:
    """Hold the home's lock; the kernel lets go of it when the process ends, however it ends."""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError as error:
        raise FalajError(f"There is no appliance in {path} yet.", "Start one with: falaj run") from error
    except PermissionError as error:
        raise FalajError(f"{path} is not yours.", "Act as the user who owns the data directory.") from error
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(
            f"An appliance already runs from {path}.", "Use it, or stop it first; see: falaj status"
        ) from error
    finally:
        os.close(descriptor)
