"""The two real databases, migrated, and a clock that a test can move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.db import Store
from appliance.db.migrations import registry as of_registry
from appliance.db.migrations import telemetry as of_telemetry


@pytest.fixture
def registry(tmp_path: Path) -> Store:
    made = Store(tmp_path / "registry.db", b"k" * 32, b"a", create=True)
    made.migrate(of_registry)
    return made


@pytest.fixture
def telemetry(tmp_path: Path) -> Store:
    made = Store(tmp_path / "telemetry.db", b"k" * 32, synchronous="NORMAL", create=True)
    made.migrate(of_telemetry)
    return made


@dataclass
class Uptime:
    """Seconds since the boot, and which boot it is."""

    seconds: float = 1000.0
    boot: str = "this boot"


@pytest.fixture
def uptime(monkeypatch: pytest.MonkeyPatch) -> Uptime:
    """Stands still, unless a test moves it."""
    made = Uptime()
    monkeypatch.setattr("appliance.clock.uptime", lambda: made.seconds)
    monkeypatch.setattr("appliance.clock.boot_id", lambda: made.boot)
    return made


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the wall clock, as `2026-11-23T12:00:00.000Z`."""

    def show(stamp: str) -> None:
        monkeypatch.setattr("appliance.clock.now", lambda: stamp)

    return show
