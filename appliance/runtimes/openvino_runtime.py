"""OpenVINO on the CPU: linear models and networks (it has no operator for trees).

An InferRequest is not thread-safe (shared by four threads, nine answers in ten were wrong), so each thread
gets its own pair: one compiled for exactly one row with a fixed input buffer (about 8 us a call instead of
40), one for any number of rows. Precision is held at f32: on CPUs that have bf16 it would quietly be used.
"""

from __future__ import annotations

import re
import threading

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

quiet.before_openvino()
import openvino  # noqa: E402  (after the telemetry switch)

NAME = "openvino"
_UNSUPPORTED = re.compile(r"ai\.onnx\.ml\.\w+|(?<=operations: )[\w., ]+")


class OpenVino:
    """The library `openvino`, CPU device only."""

    name = NAME

    def version(self) -> str:
        return str(openvino.get_version()).split("-", 1)[0]

    def load(self, graph: bytes, *, threads: int = 1) -> OpenVinoSession:
        core = openvino.Core()
        hints = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = core.read_model(graph)
            require_plain_ports(NAME, [("input", len(model.inputs)), ("output", len(model.outputs))])
            width = _width(model)
            model.reshape([-1, width])
            many = core.compile_model(model, "CPU", hints)
            model.reshape([1, width])
            one = core.compile_model(model, "CPU", hints)
        except CannotLoad:
            raise
        except Exception as error:  # RuntimeError and its kin, from C++
            found = sorted(set(_UNSUPPORTED.findall(str(error))))
            why = f"it has no operator {', '.join(found)}" if found else one_line(error)
            raise CannotLoad(
                f"openvino cannot load this model: {why}.",
                "Serve this model with onnxruntime (leave out --runtime openvino).",
            ) from error
        return OpenVinoSession(one, many, width)


def _width(model: openvino.Model) -> int:
    port = model.inputs[0]
    shape = port.get_partial_shape()
    if port.get_element_type() != openvino.Type.f32 or len(shape) != 2 or shape[1].is_dynamic:
        raise CannotLoad(
            f"openvino cannot serve this model: its input is {port.get_element_type()} of shape {shape}.",
            "The input must be a table of 32-bit numbers with a fixed number of columns.",
        )
    return int(shape[1].get_length())


class _Requests(threading.local):
    """What one thread owns: nothing in here is ever seen by another thread."""

    one: openvino.InferRequest | None = None
    many: openvino.InferRequest
    row: Matrix  # the fixed input buffer of `one`
    answer: Matrix  # its fixed output buffer


class OpenVinoSession:
    def __init__(self, one: openvino.CompiledModel, many: openvino.CompiledModel, width: int) -> None:
        self.width = width
        self._compiled: tuple[openvino.CompiledModel, openvino.CompiledModel] | None = (one, many)
        self._mine = _Requests()
        answer = self._run_one(np.zeros((1, width), np.float32))
        if answer.ndim != 2 or answer.dtype != np.float32:
            raise CannotLoad(
                f"openvino cannot serve this model: its output is {answer.dtype}{list(answer.shape)}.",
                "The output must be a table of 32-bit numbers, one row for each input row.",
            )
        self.outputs: int = answer.shape[1]

    def run(self, x: Matrix) -> Matrix:
        check_rows(x, self.width)
        if self._compiled is None:
            raise closed(NAME)
        if len(x) == 1:
            return self._run_one(x)
        if len(x) == 0:
            return np.empty((0, self.outputs), np.float32)
        request = self._requests().many
        # share_inputs reads our rows in place (hence contiguous), share_outputs leaves the one copy to us
        found = request.infer([np.ascontiguousarray(x)], share_inputs=True, share_outputs=True)
        return np.array(found[0], np.float32)

    def _run_one(self, x: Matrix) -> Matrix:
        mine = self._requests()
        mine.row[:] = x
        mine.one.infer(share_outputs=True)  # type: ignore[union-attr]  # _requests() has set it
        return mine.answer.copy()

    def _requests(self) -> _Requests:
        """This thread's requests, made at its first call."""
        mine = self._mine
        if mine.one is None:
            compiled = self._compiled
            if compiled is None:
                raise closed(NAME)
            mine.many = compiled[1].create_infer_request()
            one = compiled[0].create_infer_request()
            buffer = openvino.Tensor(openvino.Type.f32, openvino.Shape([1, self.width]))
            buffer.data[:] = 0
            one.set_input_tensor(buffer)
            one.infer(share_outputs=True)
            mine.row, mine.answer = buffer.data, one.get_output_tensor(0).data
            mine.one = one
        return mine

    def close(self) -> None:
        self._compiled = None
        self._mine = _Requests()
