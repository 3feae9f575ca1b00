"""ONNX Runtime on the CPU: trees, linear models and networks.

One session, many concurrent run() calls (the library is thread-safe for that), one thread a call, no arena
(it grows for good with the largest batch ever seen), no spinning, no telemetry, no logging.
"""

from __future__ import annotations

import numpy as np

from appliance.runtimes import quiet
from appliance.runtimes.protocol import (
    CannotLoad,
    Matrix,
    check_rows,
    closed,
    one_line,
    require_plain_ports,
)

quiet.before_onnxruntime()
import onnxruntime  # noqa: E402  (after the telemetry switch)

onnxruntime.disable_telemetry_events()
onnxruntime.set_default_logger_severity(4)  # fatal only; what fails is raised, and told by us

NAME = "onnxruntime"


class OnnxRuntime:
    """The library `onnxruntime`, CPU provider only."""

    name = NAME

    def version(self) -> str:
        return str(onnxruntime.__version__)

    def load(self, graph: bytes, *, threads: int = 1) -> OnnxSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises ten unrelated classes, all straight from Exception
            raise CannotLoad(
                f"onnxruntime cannot load this model: {one_line(error)}",
                "Train or import the model again; its stored graph is not usable.",
            ) from error
        return OnnxSession(session)


class OnnxSession:
    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        require_plain_ports(
            NAME, [("input", len(session.get_inputs())), ("output", len(session.get_outputs()))]
        )
        port = session.get_inputs()[0]
        shape = port.shape
        if port.type != "tensor(float)" or len(shape) != 2 or not isinstance(shape[1], int):
            raise CannotLoad(
                f"onnxruntime cannot serve this model: its input is {port.type} of shape {shape}.",
                "The input must be a table of 32-bit numbers with a fixed number of columns.",
            )
        self.width: int = shape[1]
        self._input: str = port.name
        self._names: list[str] = [session.get_outputs()[0].name]
        self._session: onnxruntime.InferenceSession | None = session
        probe = self._answer(np.zeros((1, self.width), np.float32))
        if probe.ndim != 2 or probe.dtype != np.float32:
            raise CannotLoad(
                f"onnxruntime cannot serve this model: its output is {probe.dtype}{list(probe.shape)}.",
                "The output must be a table of 32-bit numbers, one row for each input row.",
            )
        self.outputs: int = probe.shape[1]

    def run(self, x: Matrix) -> Matrix:
        check_rows(x, self.width)
        if len(x) == 0 and self._session is not None:
            return np.empty((0, self.outputs), np.float32)
        return self._answer(x)

    def _answer(self, x: Matrix) -> Matrix:
        session = self._session
        if session is None:
            raise closed(NAME)
        answer: Matrix = session.run(self._names, {self._input: x})[0]
        return answer

    def close(self) -> None:
        self._session = None
