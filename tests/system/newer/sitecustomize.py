"""On the PYTHONPATH, this makes a newer version of the program: one with one more migration of each database.

NEWER says which; UNREHEARSED takes the rehearsal on a copy away, to show what it is for. The modules are
changed as they are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any


def adds(db: Any) -> None:
    """What a good one does, also to tables that the old program reads and writes meanwhile."""
    db.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT")
    for table in ("deployments", "tokens", "versions"):
        if db[table].exists():  # the registry's
            db.execute(f"ALTER TABLE {table} ADD COLUMN more TEXT")


def lasts(db: Any) -> None:
    adds(db)
    time.sleep(0.2)


def raises(db: Any) -> None:
    adds(db)
    if not db["audit"].exists():  # it is the last
        raise RuntimeError("half way")


def damages(db: Any) -> None:
    """Only where there is something to damage, so that a fresh database looks as it should."""
    adds(db)
    if db["audit"].exists() and db["audit"].count:
        db.execute("DROP INDEX one_alert")


def forges(db: Any) -> None:
    adds(db)
    if db["audit"].exists():
        db.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 1")


def loses(db: Any) -> None:
    adds(db)
    if db["audit"].exists():
        db.execute("DELETE FROM tokens")


def newer(module: ModuleType) -> None:
    kinds: dict[str, Callable[[Any], None]] = {
        one.__name__: one for one in (adds, lasts, raises, damages, forges, loses)
    }
    for migrations in (module.registry, module.telemetry):
        migrations(name="m999_newer")(kinds[os.environ["NEWER"]])


def unrehearsed(module: ModuleType) -> None:
    assert hasattr(module, "rehearse")
    if "UNREHEARSED" in os.environ:
        module.rehearse = lambda home, snapshot: None  # type: ignore[attr-defined]


CHANGED = {"appliance.db.migrations": newer, "appliance.upgrade.rehearsal": unrehearsed}


class Newer(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in CHANGED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_changed(module: ModuleType) -> None:
            load(module)
            CHANGED[name](module)

        spec.loader.exec_module = load_changed  # type: ignore[method-assign]
        return spec


if "NEWER" in os.environ:
    sys.meta_path.insert(0, Newer())
