"""What a training ran on: enough to repeat it, and to see why a repeat differs."""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import appliance

_LIBRARIES = (
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "polars",
    "scikit-learn",
    "scipy",
)


def environment(threads: int) -> dict[str, str]:
    """Name -> value, for people and for comparison."""
    return {
        "falaj": appliance.__version__,
        "code": code_digest(),
        "python": sys.version.split()[0],
        "processor": _processor(),
        "threads": str(threads),
        "system": platform.platform(),
    } | {name: version(name) for name in _LIBRARIES}


def code_digest() -> str:
    """SHA-256 over all our own source files, by name."""
    root = Path(appliance.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
