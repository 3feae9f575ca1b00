"""From a fitted candidate to something that can be served: its graph, its proof, and who may run it.

A runtime takes part only if its answers equal the trained model's, on held-out rows and on rows made to
be difficult; among those that do, latency is measured on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Feature
from appliance.export import parity
from appliance.export.convert import to_onnx
from appliance.export.parity import Parity
from appliance.runtimes.measure import Entry, contest
from appliance.runtimes.proof import Proof
from appliance.training.fitted import Fitted

PROOF_ROWS = 48
PROOF_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """A portable graph with its proof, the runtimes' contest, and the parity of the best of them."""

    graph: bytes
    proof: Proof
    runtimes: list[Entry]
    parity: Parity

    def runtimes_json(self) -> list[dict[str, Any]]:
        """The contest as JSON: null where nothing was measured."""
        rows = [asdict(entry) for entry in self.runtimes]
        return [{name: _finite(value) for name, value in row.items()} for row in rows]


def export(fitted: Fitted, features: Sequence[Feature], held: NDArray[np.float32], seed: int) -> Exported:
    """Export a candidate and prove it on held-out rows float32[n, d]."""
    graph = to_onnx(fitted, len(features))
    proof = make_proof(fitted, held)
    entries, parities = [], []
    for entry in contest(graph, proof.rows, proof.expected, proof.tolerance):
        if entry.ok:
            found = parity.prove(graph, fitted.predict, held, features, seed=seed, runtime=entry.runtime)
            parities.append((entry.p50_us, found))
            if not found.ok:
                why = f"its answers differ by up to {found.max_abs:.2g} on difficult rows"
                entry = replace(entry, ok=False, why=why)
        entries.append(entry)
    sound = [pair for pair in parities if pair[1].ok] or parities
    best = min(sound, key=lambda pair: pair[0])[1] if sound else _NOT_PROVEN
    return Exported(graph, proof, entries, best)


def make_proof(fitted: Fitted, held: NDArray[np.float32]) -> Proof:
    """Held-out rows, evenly chosen, and one row of nothing but missing values; with the model's answers."""
    chosen = np.linspace(0, len(held) - 1, min(PROOF_ROWS, len(held))).astype(int)
    empty = np.full((1, held.shape[1]), np.nan, np.float32)
    rows = np.ascontiguousarray(np.concatenate([held[chosen], empty]), np.float32)
    return Proof(rows, fitted.predict(rows).astype(np.float32), PROOF_TOLERANCE)


_NOT_PROVEN = Parity(math.inf, math.inf, 0, False, 0)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
