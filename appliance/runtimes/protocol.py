"""What every runtime gives: a graph's bytes in, a thread-safe session out.

A runtime runs a portable graph (ONNX bytes: one input float32[N, d], one output float32[N, k]) on this
machine. It knows nothing of rows, columns or labels. All runtimes pass one contract suite
(tests/unit/runtimes/test_contract.py): same numbers, eight threads at once, nothing shared, nothing changed.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from appliance.errors import BadInput, Conflict, FalajError

Matrix = npt.NDArray[np.float32]


class CannotLoad(FalajError):
    """This graph is not for this runtime, or is no graph at all; the message says why."""

    status = 422


class Session(Protocol):
    """One loaded graph."""

    width: int  # d: numbers in a row
    outputs: int  # k: numbers in an answer

    def run(self, x: Matrix) -> Matrix:
        """float32[n, d] -> float32[n, k], a fresh array; zero rows in, zero rows out.

        Safe from any number of threads. Raises BadInput when x is not float32[n, d], Conflict after close().
        """
        ...

    def close(self) -> None:
        """Free what the graph holds. Calls already inside run() finish; later ones raise Conflict."""
        ...


class Runtime(Protocol):
    """One library that runs graphs."""

    name: str

    def version(self) -> str: ...

    def load(self, graph: bytes, *, threads: int = 1) -> Session:
        """Open a graph. `threads`: for one call; more callers bring their own. Raises CannotLoad."""
        ...


def check_rows(x: Matrix, width: int) -> None:
    """Refuse anything but float32[n, width]: a library would read it as garbage, or crash."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float32:
        found = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise BadInput(
            f"The model takes rows of 32-bit numbers, but got {found}.",
            "Encode the rows with the model's signature first.",
        )
    if x.ndim != 2 or x.shape[1] != width:
        raise BadInput(
            f"The model takes {width} numbers a row, but got an array of shape {list(x.shape)}.",
            "Encode the rows with the signature of this same model version.",
        )


def closed(runtime: str) -> Conflict:
    """The error for a session used after close()."""
    return Conflict(
        f"This {runtime} session is closed.",
        "The model was replaced or unloaded; ask for its current version.",
    )


def one_line(error: BaseException, limit: int = 200) -> str:
    """A library's error as one short line, without its banner of source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Exception from ", "Check '", "while "))] or lines
    return " ".join(kept)[:limit] or type(error).__name__


def require_plain_ports(runtime: str, ports: list[tuple[str, Any]]) -> None:
    """A graph of ours has exactly one input and one output; `ports` is [(what, how many), ...]."""
    for what, count in ports:
        if count != 1:
            raise CannotLoad(
                f"{runtime} cannot serve this model: it has {count} {what}s, where one is needed.",
                "Export the model with one numeric input table and one numeric output table.",
            )
