"""Switch off what the runtime libraries would report home, before they are imported.

ONNX Runtime (since 1.29) starts a telemetry thread at import unless ORT_DISABLE_TELEMETRY is set by then;
`disable_telemetry_events()` alone comes too late for the thread. `import openvino` sends an event at import
through the optional package `openvino_telemetry`; when that cannot be imported OpenVINO uses its own stub.
Any module that imports onnxruntime or openvino calls these first.
"""

from __future__ import annotations

import os
import sys


def before_onnxruntime() -> None:
    """Call before `import onnxruntime`; also covers child processes, which inherit the variable."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def before_openvino() -> None:
    """Call before `import openvino`: `import openvino_telemetry` then fails, and the stub is used."""
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
