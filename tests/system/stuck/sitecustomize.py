"""On the PYTHONPATH of an appliance, this hurts its inference workers, or takes away who would see it.

STUCK_FILE names a file with "hang PID" or "lie PID": the runtime of that process then never answers, or
answers wrongly. STUCK_WITHOUT=proof: a worker gives signs of life without proving anything;
STUCK_WITHOUT=end: a worker that must be replaced is not ended. Modules are changed as they are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def _told() -> str:
    try:
        how, _, pid = Path(os.environ["STUCK_FILE"]).read_text().partition(" ")
    except (KeyError, OSError):
        return ""
    return how if pid == str(os.getpid()) else ""


def _runtime(module: ModuleType) -> None:
    """Both runtimes' sessions are made by open_runtime(name).load(graph)."""
    open_runtime = module.open_runtime

    def opened(name: str) -> Any:
        runtime = open_runtime(name)
        load = type(runtime).load

        class Hurt(type(runtime)):  # type: ignore[misc]
            def load(self, *args: Any, **more: Any) -> Any:
                return _Session(load(self, *args, **more))

        return Hurt()

    module.open_runtime = opened  # type: ignore[attr-defined]


class _Session:
    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, x: Any) -> Any:
        while _told() == "hang":
            time.sleep(0.05)
        return self._session.run(x) + (1000 if _told() == "lie" else 0)


def _pulse(module: ModuleType) -> None:
    assert module.Pulse._prove
    if os.environ.get("STUCK_WITHOUT") == "proof":
        module.Pulse._prove = lambda self, loop: {}


def _crew(module: ModuleType) -> None:
    assert module.Crew._replace
    if os.environ.get("STUCK_WITHOUT") == "end":
        module.Crew._replace = lambda self, now, crew, ready: self._vigil.look(now, ready, len(crew))


CHANGED: dict[str, Callable[[ModuleType], None]] = {
    "appliance.runtimes": _runtime,
    "appliance.inference.pulse": _pulse,
    "appliance.daemon.crew": _crew,
}


class Hurting(importlib.abc.MetaPathFinder):
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


sys.meta_path.insert(0, Hurting())
