"""The runtimes this machine can choose from; each library is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Callable

from appliance.errors import NotFound
from appliance.runtimes.protocol import CannotLoad, Runtime, Session

__all__ = ["RUNTIMES", "CannotLoad", "Runtime", "Session", "open_runtime"]


def _onnxruntime() -> Runtime:
    from appliance.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime()


def _openvino() -> Runtime:
    from appliance.runtimes.openvino_runtime import OpenVino

    return OpenVino()


RUNTIMES: dict[str, Callable[[], Runtime]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}


def open_runtime(name: str) -> Runtime:
    """The runtime of that name. Raises NotFound for a name not in RUNTIMES."""
    factory = RUNTIMES.get(name)
    if factory is None:
        raise NotFound(f"There is no runtime named '{name}'.", f"Choose one of: {', '.join(RUNTIMES)}.")
    return factory()
