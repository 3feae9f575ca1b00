"""On the PYTHONPATH of an appliance, this takes away what puts things right after a crash.

For one test only: that the crash tests' oracle sees it. The modules are changed as they are imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

OFF = {
    "appliance.jobs.ledger": "reconcile",  # takes back the jobs of a dead worker
    "appliance.registry.deployments": "unfinished",  # finds the roll-outs that nobody leads any more
}


class Unreconciled(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in OFF:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_without(module: ModuleType) -> None:
            load(module)
            assert hasattr(module, OFF[name])
            setattr(module, OFF[name], lambda store: [])

        spec.loader.exec_module = load_without  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Unreconciled())
