"""Hand-built graphs for the runtime suite (see graphs.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load_graphs() -> ModuleType:
    """graphs.py, under one name whatever the import mode of pytest is."""
    name = "falaj_test_graphs"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("graphs.py"))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def graphs() -> ModuleType:
    return load_graphs()
