"""Which runtime serves this graph best on this machine: measured, never assumed.

Every candidate must first give the expected numbers on the proof rows; among those, the lowest median time
of one row wins. Rounds of all candidates are interleaved, so that a busy second hurts them all alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.errors import FalajError
from appliance.runtimes import RUNTIMES, open_runtime
from appliance.runtimes.protocol import CannotLoad, Matrix, Session

ROUNDS = 20
CALLS = 25  # one-row calls a round


@dataclass(frozen=True)
class Latency:
    """Time of one call with one row, in microseconds."""

    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class Entry:
    """How one runtime did in a contest; figures are NaN where it did not get that far."""

    runtime: str
    version: str
    ok: bool
    p50_us: float
    p99_us: float
    max_abs: float  # largest |expected - got| over all proof values
    why: str  # why it is out; empty when ok


def difference(expected: Matrix, got: Matrix) -> tuple[float, float]:
    """(largest absolute difference, largest |expected - got| / max(1, |expected|)); infinite where shapes
    differ or a number was expected and none came."""
    if expected.shape != got.shape:
        return float("inf"), float("inf")
    if expected.size == 0:
        return 0.0, 0.0
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    if not np.array_equal(np.isnan(wanted), np.isnan(found)):
        return float("inf"), float("inf")
    with np.errstate(invalid="ignore"):
        gap = np.where(wanted == found, 0.0, np.abs(wanted - found))
        scaled = gap / np.maximum(1.0, np.abs(wanted))
    return float(np.nanmax(gap, initial=0.0)), float(np.nanmax(scaled, initial=0.0))


def prove(session: Session, rows: Matrix, expected: Matrix, tolerance: float) -> tuple[float, str]:
    """(largest absolute difference, why it fails or ""): runs the rows, all at once and one by one."""
    whole = session.run(rows)
    single = np.vstack([session.run(rows[i : i + 1]) for i in range(len(rows))]) if len(rows) else whole
    worst = 0.0
    for got in (whole, single):
        max_abs, scaled = difference(expected, got)
        worst = max(worst, max_abs)
        if not scaled <= tolerance:
            return worst, f"its answers differ by up to {max_abs:.3g} from the trained model's"
    return worst, ""


def one_row_latency(session: Session, rows: Matrix, *, calls: int = ROUNDS * CALLS) -> Latency:
    """p50 and p99 of one-row calls over `rows` float32[n >= 1, d], taken in turn."""
    return _interleaved({"": session}, rows, rounds=max(1, calls // CALLS))[""]


def contest(
    graph: bytes,
    rows: Matrix,
    expected: Matrix,
    tolerance: float,
    *,
    runtimes: Sequence[str] | None = None,
) -> list[Entry]:
    """Let every runtime (or those named) try; one entry each, in the order given.

    rows float32[m >= 1, d], expected float32[m, k]; tolerance is on
    |difference| / max(1, |expected|).
    """
    names = list(RUNTIMES) if runtimes is None else list(runtimes)
    versions: dict[str, str] = {}
    sessions: dict[str, Session] = {}
    proofs: dict[str, tuple[float, str]] = {}
    try:
        for name in names:
            versions[name] = ""
            try:
                runtime = open_runtime(name)
                versions[name] = runtime.version()
                session = sessions[name] = runtime.load(graph)
                proofs[name] = prove(session, rows, expected, tolerance)
            except FalajError as error:
                proofs[name] = (float("nan"), error.message)
            except ImportError as error:
                proofs[name] = (float("nan"), f"the library is not installed here ({error.name})")
        sound = {name: session for name, session in sessions.items() if not proofs[name][1]}
        times = _interleaved(sound, rows)
    finally:
        for session in sessions.values():
            session.close()
    nothing = Latency(float("nan"), float("nan"))
    return [
        Entry(
            name,
            versions[name],
            name in sound,
            times.get(name, nothing).p50_us,
            times.get(name, nothing).p99_us,
            *proofs[name],
        )
        for name in names
    ]


def best(entries: Sequence[Entry], pinned: str | None = None) -> Entry:
    """The fastest sound entry, or the pinned one. Raises CannotLoad when there is none, saying why."""
    if pinned is not None:
        for entry in entries:
            if entry.runtime == pinned and entry.ok:
                return entry
        why = next((entry.why for entry in entries if entry.runtime == pinned), "it did not take part")
        raise CannotLoad(
            f"The runtime '{pinned}' cannot serve this model: {why.rstrip('.')}.",
            "Leave out the runtime and the fastest one that can is chosen.",
        )
    sound = [entry for entry in entries if entry.ok]
    if not sound:
        reasons = "; ".join(f"{entry.runtime}: {entry.why.rstrip('.')}" for entry in entries)
        raise CannotLoad(f"No runtime can serve this model ({reasons}).", "Train or import the model again.")
    return min(sound, key=lambda entry: entry.p50_us)


def _interleaved(sessions: dict[str, Session], rows: Matrix, rounds: int = ROUNDS) -> dict[str, Latency]:
    singles = [rows[i : i + 1] for i in range(min(len(rows), CALLS))]
    times: dict[str, list[int]] = {name: [] for name in sessions}
    clock = time.perf_counter_ns
    collecting = gc.isenabled()
    gc.disable()  # a collection in mid-call is not the runtime's time
    try:
        for turn in range(-1, rounds):  # turn -1 warms up
            for name, session in sessions.items():
                run, mine = session.run, times[name]
                for call in range(CALLS):
                    row = singles[call % len(singles)]
                    begun = clock()
                    run(row)
                    taken = clock() - begun
                    if turn >= 0:
                        mine.append(taken)
    finally:
        if collecting:
            gc.enable()
    return {
        name: Latency(*(float(value) / 1000 for value in np.percentile(taken, [50, 99])))
        for name, taken in times.items()
    }
