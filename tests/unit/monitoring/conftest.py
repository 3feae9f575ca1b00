"""A telemetry database of its own, and answers to put into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.data.bins import Bins, Floats, Reference
from appliance.db import Store
from appliance.db.migrations import telemetry

REFERENCE = Reference(
    100,
    (Bins("a", "a", "number", (0.0, 1.0), (), (40, 30, 30)), Bins("b", "b", "number", (5.0,), (), (50, 50))),
    (Bins("1", "", "number", (0.5,), (), (60, 40)),),
)


@dataclass(frozen=True)
class Said:
    """An answer of the endpoint."""

    model: str
    version: int
    runtime: str
    x: Floats
    values: Floats
    reference: Reference | None


def said(*rows: tuple[float, float], model: str = "m", version: int = 1) -> Said:
    x = np.array(rows, np.float32).reshape(len(rows), 2)
    return Said(model, version, "onnxruntime", x, np.tile(np.float32([0.2, 0.8]), (len(rows), 1)), REFERENCE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "telemetry.db", b"k" * 32, synchronous="NORMAL", create=True)
    made.migrate(telemetry)
    return made
