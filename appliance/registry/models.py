"""Models, the runs that trained them, and their versions.

A version is immutable but for its state: what the gate refused stays visible as `refused`, and only an
approver's written reason turns it into `approved`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from appliance.db import Row, Store, Transaction, known
from appliance.db.store import dumps
from appliance.errors import Conflict, NotFound


class VersionState(StrEnum):
    REGISTERED = "registered"  # the gate let it pass; may be deployed
    REFUSED = "refused"  # the gate said no; visible, not deployable
    APPROVED = "approved"  # refused by the gate, allowed by a person with a reason


TRANSITIONS: dict[VersionState, frozenset[VersionState]] = {
    VersionState.REGISTERED: frozenset(),
    VersionState.REFUSED: frozenset({VersionState.APPROVED}),
    VersionState.APPROVED: frozenset(),
}


@dataclass(frozen=True)
class Run:
    """One training attempt and everything needed to repeat it."""

    id: str
    model: str
    dataset: str
    dataset_version: int
    target: str
    parameters: Row
    environment: Row
    job: str | None
    seconds: float
    created_at: str
    created_by: str


@dataclass(frozen=True)
class Version:
    """One registered candidate.

    `graph`, `proof` and `reference_bins` are blobs; `digest` is the SHA-256 of the graph.
    """

    model: str
    version: int
    state: VersionState
    run: str
    task: str
    algorithm: str
    digest: str
    graph: str
    proof: str
    reference_bins: str
    signature: Row
    metrics: Row
    gate: Row
    report: str
    runtimes: list[Row]
    approved_by: str | None
    approved_reason: str | None
    created_at: str

    @property
    def reference(self) -> str:
        return f"{self.model}:{self.version}"

    @property
    def deployable(self) -> bool:
        return self.state is not VersionState.REFUSED

    def summary(self) -> Row:
        """What a list shows."""
        return {
            "model": self.model,
            "version": self.version,
            "state": self.state.value,
            "task": self.task,
            "algorithm": self.algorithm,
            "digest": self.digest,
            "run": self.run,
            "metrics": self.metrics,
            "gate": self.gate,
            "runtimes": self.runtimes,
            "approved_by": self.approved_by,
            "approved_reason": self.approved_reason,
            "created_at": self.created_at,
        }


_VERSION_JSON = ("signature", "metrics", "gate", "runtimes")
_RUN_JSON = ("parameters", "environment")


def find_version(store: Store | Transaction, model: str, version: int | None = None) -> Version:
    """A version of a model, the newest unless told. Raises NotFound."""
    row = store.one(
        "SELECT * FROM versions WHERE model = ? AND version = coalesce(?, (SELECT max(version) FROM versions"
        " WHERE model = ?))",
        (model, version, model),
    )
    if row is None:
        told = model if version is None else f"{model}:{version}"
        raise NotFound(f"There is no model '{told}'.", "See what there is with: falaj model ls")
    return _version(row)


def versions(store: Store | Transaction, model: str | None = None) -> list[Version]:
    """All versions (of one model), newest last."""
    rows = store.all(
        "SELECT * FROM versions WHERE model = coalesce(?, model) ORDER BY model, version", (model,)
    )
    return [_version(row) for row in rows]


def names(store: Store) -> list[str]:
    return [str(row["name"]) for row in store.all("SELECT name FROM models ORDER BY name")]


def find_run(store: Store | Transaction, id: str) -> Run:
    row = store.one("SELECT * FROM runs WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"There is no run '{id}'.", "See a model's runs with: falaj model versions MODEL")
    return _run(row)


def runs_on(store: Store | Transaction, dataset: str, version: int) -> list[str]:
    rows = store.all("SELECT id FROM runs WHERE dataset = ? AND dataset_version = ?", (dataset, version))
    return [str(row["id"]) for row in rows]


def add_model(tx: Transaction, name: str, at: str, by: str) -> None:
    tx.execute("INSERT INTO models VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, at, by))


def add_run(tx: Transaction, run: Run) -> None:
    row = dict(vars(run))
    tx.insert("runs", row | {name: dumps(row[name]) for name in _RUN_JSON})


def add_version(tx: Transaction, version: Version, blobs: dict[str, int]) -> None:
    """Register a version together with the blobs it owns (digest -> bytes)."""
    row = dict(vars(version))
    row |= {name: dumps(row[name]) for name in _VERSION_JSON}
    tx.insert("versions", row | {"state": version.state.value})
    for digest, size in blobs.items():
        tx.insert("blobs", {"digest": digest, "bytes": size, "owner": f"version:{version.reference}"})


def approve(tx: Transaction, version: Version, by: str, reason: str) -> None:
    """Let a refused version be deployed after all. Raises Conflict when it wasn't refused."""
    if VersionState.APPROVED not in TRANSITIONS[version.state]:
        raise Conflict(
            f"{version.reference} is {version.state.value}: there is nothing to approve.",
            f"Deploy it with: falaj deploy {version.reference}",
        )
    tx.execute(
        "UPDATE versions SET state = ?, approved_by = ?, approved_reason = ? WHERE model = ? AND version = ?",
        (VersionState.APPROVED.value, by, reason, version.model, version.version),
    )


def remove_version(tx: Transaction, version: Version) -> list[str]:
    """Forget a version; the blobs it owned, for the caller to delete after the commit."""
    tx.execute("DELETE FROM deployments WHERE model = ? AND version = ?", (version.model, version.version))
    tx.execute("DELETE FROM versions WHERE model = ? AND version = ?", (version.model, version.version))
    tx.execute("DELETE FROM runs WHERE id = ?", (version.run,))
    owner = f"version:{version.reference}"
    blobs = [str(row["digest"]) for row in tx.all("SELECT digest FROM blobs WHERE owner = ?", (owner,))]
    tx.execute("DELETE FROM blobs WHERE owner = ?", (owner,))
    tx.execute(
        "DELETE FROM models WHERE name = ? AND NOT EXISTS (SELECT 1 FROM versions WHERE model = name)",
        (version.model,),
    )
    return blobs


def _version(row: Row) -> Version:
    parsed = {name: json.loads(row[name]) for name in _VERSION_JSON}
    return Version(**{**known(Version, row), **parsed, "state": VersionState(row["state"])})


def _run(row: Row) -> Run:
    return Run(**{**row, **{name: json.loads(row[name]) for name in _RUN_JSON}})
