"""Which version of each model answers, and the one function that every door calls: `Plane.infer`.

A version is loaded, proven and warmed (`prepare`) before anyone can see it; a deploy is then one dict
assignment (`switch`), and the old version closes when its last request has left (`drain`). A request keeps
the version it began with. Everything here is safe from any thread; nothing here knows HTTP.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.data.bins import Reference
from appliance.data.signature import Signature
from appliance.data.types import Kind
from appliance.errors import BrokenRow, FalajError, NotFound, Unavailable
from appliance.runtimes import CannotLoad, Session, open_runtime
from appliance.runtimes.measure import prove
from appliance.runtimes.proof import Proof
from appliance.runtimes.protocol import Matrix, one_line

BULK = 64  # rows of the second warm-up call
INLINE_US = 1000.0  # a call expected to take longer leaves the event loop for a pool thread
ENCODE_US = 0.5  # parse, encode and render, per value: the part of a call that no runtime does
NUMERIC = frozenset({Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN})


@dataclass(frozen=True)
class Artefact:
    """What a registry hands over to be served; proof rows float32[m, d], expected answers float32[m, k]."""

    model: str
    version: int
    graph: bytes
    signature: Signature
    runtime: str
    proof_rows: Matrix
    proof_expected: Matrix
    tolerance: float
    reference: Reference | None = None  # what live rows are counted into; None: they aren't


class Served:
    """One loaded version. Nothing changes in it but the number of requests inside."""

    __slots__ = (
        "_inside",
        "inline_rows",
        "model",
        "one_row_us",
        "proof",
        "reference",
        "runtime",
        "session",
        "signature",
        "version",
    )

    def __init__(self, artefact: Artefact, session: Session, one_row_us: float, row_us: float) -> None:
        self.model = artefact.model
        self.version = artefact.version
        self.runtime = artefact.runtime
        self.signature = artefact.signature
        self.reference = artefact.reference
        self.session = session
        self.proof = Proof(artefact.proof_rows[:1], artefact.proof_expected[:1], artefact.tolerance)
        self.one_row_us = one_row_us
        # More rows than this in one request would hold the event loop for over INLINE_US.
        spare = INLINE_US - one_row_us
        self.inline_rows = 0 if spare < 0 else 1 + int(spare / max(row_us, 0.01))
        # One entry a running request: list append and pop are atomic under the GIL, `+= 1` is not.
        self._inside: list[None] = []

    @property
    def in_flight(self) -> int:
        return len(self._inside)

    def __repr__(self) -> str:
        return f"<Served {self.model}:{self.version} on {self.runtime}>"


@dataclass(slots=True)
class Prediction:
    """The answer to encoded rows x float32[n, width].

    values float32[n, k]: class probabilities in the order of signature.labels, or [n, 1] of numbers.
    """

    model: str
    version: int
    runtime: str
    x: Matrix
    values: Matrix
    signature: Signature
    reference: Reference | None


def prepare(artefact: Artefact) -> Served:
    """Load, prove and warm a version; blocking. Raises FalajError (mostly CannotLoad) with the reason."""
    name = f"{artefact.model}:{artefact.version}"
    session = open_runtime(artefact.runtime).load(artefact.graph)
    try:
        signature = artefact.signature
        answers = max(1, len(signature.labels))
        if (session.width, session.outputs) != (signature.width, answers):
            raise CannotLoad(
                f"The graph of {name} takes {session.width} numbers and gives {session.outputs}, but the "
                f"signature says {signature.width} and {answers}.",
                "Train or import the model again; its parts do not belong together.",
            )
        if not len(artefact.proof_rows):
            raise CannotLoad(
                f"The model {name} has no proof rows, so nothing shows that it is right here.",
                "Train or import the model again.",
            )
        _, why = prove(session, artefact.proof_rows, artefact.proof_expected, artefact.tolerance)
        if why:
            raise CannotLoad(
                f"The model {name} fails its proof on {artefact.runtime}: {why} "
                f"(allowed: {artefact.tolerance:g}).",
                "Deploy it with another runtime (--runtime), or train it again.",
            )
        one_row_us, row_us = _warm(session, artefact.proof_rows)
        return Served(artefact, session, one_row_us, row_us + ENCODE_US * len(signature.columns))
    except BaseException:
        session.close()
        raise


def _warm(session: Session, rows: Matrix) -> tuple[float, float]:
    """(microseconds of a one-row call, microseconds of one more row), after the first calls are paid for."""
    one = _median_us(session, rows[:1])
    bulk = _median_us(session, np.ascontiguousarray(np.resize(rows, (BULK, rows.shape[1]))))
    return one, max(0.0, bulk - one) / (BULK - 1)


def _median_us(session: Session, rows: Matrix) -> float:
    """Median time of a call after the first; at most 50 calls, fewer for a slow model."""
    session.run(rows)
    times: list[float] = []
    while len(times) < 50 and sum(times) < 20_000:
        begun = time.perf_counter()
        session.run(rows)
        times.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(times)


class Plane:
    """The versions that answer, by model."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}
        self.lost: dict[str, str] = {}  # deployed models that can't be loaded, and why; replaced whole

    def models(self) -> list[str]:
        return sorted(self._served)

    def version(self, model: str) -> int:
        """The version that answers for a model now; 0 when none does."""
        served = self._served.get(model)
        return served.version if served is not None else 0

    def current(self, model: str, version: int | None = None) -> Served:
        """The version that answers for a model.

        Raises NotFound, also when another version is asked for, and Unavailable for one that can't be loaded.
        """
        served = self._served.get(model)
        if served is None and (why := self.lost.get(model)):
            raise Unavailable(
                f"The model '{model}' is deployed, but can't answer: {why}",
                f"Deploy another version of it: falaj deploy {model}:VERSION; see also: falaj doctor",
            )
        if served is None:
            raise NotFound(
                f"No model named '{model}' is deployed here.",
                f"Check the name, or deploy it with: falaj deploy {model}",
            )
        if version is not None and version != served.version:
            raise NotFound(
                f"Version {version} of '{model}' is not deployed; version {served.version} is.",
                f"Leave the version out, or deploy it with: falaj deploy {model}:{version}",
            )
        return served

    def switch(self, model: str, served: Served | None) -> Served | None:
        """From now on `served` answers for the model (None: nobody does). Returns who did; drain() it."""
        if served is None:
            return self._served.pop(model, None)
        if served.model != model:
            raise FalajError(
                f"The version of '{served.model}' cannot answer for '{model}'.", "Deploy it under its name."
            )
        old = self._served.get(model)
        self._served[model] = served
        return old

    def drain(self, served: Served, timeout: float = 30.0) -> bool:
        """Wait until the last request has left a version that was switched away, then close it; blocking.

        False when requests are still inside after `timeout` seconds: it stays open, and can be drained again.
        """
        deadline = time.monotonic() + timeout
        while served.in_flight:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)
        served.session.close()
        return True

    def infer(
        self,
        model: str,
        *,
        rows: Sequence[Mapping[str, Any]] | None = None,
        columns: Mapping[str, Sequence[Any]] | None = None,
        matrix: Sequence[Sequence[float | None]] | None = None,
        version: int | None = None,
    ) -> Prediction:
        """Answer n rows, given as exactly one of: row dicts, columns by name, or a table of numbers.

        `matrix` [n, number of columns] is for models whose every column is numeric, in signature order.
        Raises NotFound (model, version), BrokenRow (a value or column that breaks the signature).
        """
        served = self._enter(model, version)
        try:
            signature = served.signature
            if rows is not None:
                x = signature.encode(rows)
            elif columns is not None:
                x = signature.encode_columns(columns)
            else:
                x = signature.encode_columns(_split(matrix or [], signature))
            values = served.session.run(x)
        finally:
            served._inside.pop()
        return Prediction(model, served.version, served.runtime, x, values, signature, served.reference)

    def prove(self, model: str) -> str:
        """Answer one row of the version's proof, as a request is; what is wrong with that, or "".

        Nothing is counted. Raises NotFound.
        """
        served = self._enter(model, None)
        proof = served.proof
        try:
            return prove(served.session, proof.rows, proof.expected, proof.tolerance)[1]
        except Exception as error:
            return one_line(error)
        finally:
            served._inside.pop()

    def _enter(self, model: str, version: int | None) -> Served:
        """The current version with this request counted in it.

        A switch and drain may happen between finding it and counting; hence the second look. Once counted
        while current, it cannot be closed before the request leaves.
        """
        while True:
            served = self.current(model, version)
            served._inside.append(None)
            if self._served.get(model) is served:
                return served
            served._inside.pop()


def takes_matrix(signature: Signature) -> bool:
    """Whether one table of numbers can stand for all columns."""
    return all(column.kind in NUMERIC for column in signature.columns)


def _split(matrix: Sequence[Sequence[float | None]], signature: Signature) -> dict[str, Sequence[Any]]:
    """A table of numbers as columns by name; yes/no columns come as 0 and 1."""
    if not takes_matrix(signature):
        odd = next(column for column in signature.columns if column.kind not in NUMERIC)
        raise BrokenRow(
            f"A single table of numbers is not enough: the column '{odd.name}' is {odd.kind.value}.",
            "Send one input a column, named as the column is.",
            column=odd.name,
        )
    width = len(signature.columns)
    for row in matrix:
        if len(row) != width:
            raise BrokenRow(
                f"The model has {width} columns, but a row of the table has {len(row)}.",
                "Send the columns in the order that the model's metadata gives.",
            )
    if not matrix:
        return {column.name: [] for column in signature.columns}
    return {
        column.name: [_yes_no(value) for value in values] if column.kind is Kind.BOOLEAN else values
        for column, values in zip(signature.columns, zip(*matrix, strict=True), strict=True)
    }


def _yes_no(value: Any) -> Any:
    return int(value) if value in (0.0, 1.0) else value
