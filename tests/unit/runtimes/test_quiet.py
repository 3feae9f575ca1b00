"""No runtime library starts a telemetry thread, sends an event or writes to the user's home."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, socket, sys
os.environ.pop("CI", None)
for name in ("connect", "sendto", "connect_ex"):
    def refuse(*_, name=name): raise SystemExit("network: " + name)
    setattr(socket.socket, name, refuse)
import numpy as np
{before}
import appliance.runtimes as runtimes
for name in runtimes.RUNTIMES:
    runtimes.open_runtime(name)
stub = "openvino.tools.ovc.telemetry_stub" in sys.modules
print(len(os.listdir("/proc/self/task")), os.listdir(os.environ["HOME"]), stub)
print(sorted(set(sys.modules) & {{"polars", "sklearn", "lightgbm", "pandas", "onnx"}}))
"""


def probe(tmp_path, before=""):
    environ = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environ |= {"HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )
    return done.stdout.splitlines(), done.stderr


def test_one_thread_no_files_and_no_training_library(tmp_path):
    lines, errors = probe(tmp_path)
    assert lines == ["1 [] True", "[]"], errors


def test_it_has_teeth(tmp_path):
    """Imported without our switches, the libraries do start a thread and do write to the home."""
    lines, _ = probe(tmp_path, "import onnxruntime")
    if lines and lines[0].startswith("1 "):
        pytest.skip("this build of onnxruntime carries no telemetry client")
    assert int(lines[0].split()[0]) > 1


def test_libraries_are_imported_only_when_chosen():
    program = "import sys, appliance.runtimes; print(sorted({'onnxruntime', 'openvino'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
