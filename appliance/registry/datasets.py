"""Datasets: immutable snapshots of a table. Adding a name again makes its next version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from appliance.db import Row, Store, Transaction
from appliance.db.store import dumps
from appliance.errors import NotFound


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset.

    `digest` is the SHA-256 of its content, `manifest` its sealed Parquet chunks in order.
    """

    name: str
    version: int
    digest: str
    rows: int
    columns: list[Row]
    profile: Row
    notes: list[str]
    manifest: list[Row]
    data_key: bytes
    source: str
    options: Row
    job: str | None
    created_at: str
    created_by: str

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"

    def summary(self) -> Row:
        """The contract's shape, with what a list shows."""
        return {
            "dataset": self.name,
            "version": self.version,
            "digest": self.digest,
            "rows": self.rows,
            "columns": len(self.columns),
            "source": self.source,
            "created_at": self.created_at,
            "created_by": self.created_by,
        }


def find(store: Store | Transaction, name: str, version: int | None = None) -> Dataset:
    """A version of a dataset, the newest unless told. Raises NotFound."""
    row = store.one(
        "SELECT * FROM datasets WHERE name = ? AND version = coalesce(?, (SELECT max(version) FROM datasets"
        " WHERE name = ?))",
        (name, version, name),
    )
    if row is None:
        told = name if version is None else f"{name}:{version}"
        raise NotFound(f"There is no dataset '{told}'.", "See what there is with: falaj dataset ls")
    return _from_row(row)


def find_same(store: Store | Transaction, name: str, digest: str) -> Dataset | None:
    """The newest version of a dataset when its content and columns are just these."""
    row = store.one(
        "SELECT * FROM datasets WHERE name = ? AND digest = ?"
        " AND version = (SELECT max(version) FROM datasets WHERE name = ?)",
        (name, digest, name),
    )
    return _from_row(row) if row else None


def summaries(store: Store, name: str | None = None) -> list[Row]:
    """What a list shows of every version (of one dataset), without reading their profiles."""
    return store.all(
        "SELECT name AS dataset, version, digest, rows, json_array_length(columns) AS columns, source,"
        " created_at, created_by FROM datasets WHERE name = coalesce(?, name) ORDER BY name, version",
        (name,),
    )


def names(store: Store) -> list[str]:
    return [str(row["name"]) for row in store.all("SELECT DISTINCT name FROM datasets ORDER BY name")]


def add(tx: Transaction, dataset: Dataset) -> None:
    row: dict[str, Any] = dict(vars(dataset))
    for name in ("columns", "profile", "notes", "manifest", "options"):
        row[name] = dumps(row[name])
    tx.insert("datasets", row)
    owner = f"dataset:{dataset.reference}"
    for chunk in dataset.manifest:
        tx.insert(
            "blobs",
            {"digest": chunk["digest"], "bytes": chunk["bytes"], "owner": owner},
        )


def remove(tx: Transaction, dataset: Dataset) -> list[str]:
    """Forget a version; the blobs that nobody owns any more, for the caller to delete after the commit."""
    tx.execute("DELETE FROM datasets WHERE name = ? AND version = ?", (dataset.name, dataset.version))
    owner = f"dataset:{dataset.reference}"
    blobs = [str(row["digest"]) for row in tx.all("SELECT digest FROM blobs WHERE owner = ?", (owner,))]
    tx.execute("DELETE FROM blobs WHERE owner = ?", (owner,))
    return blobs


def _from_row(row: Row) -> Dataset:
    parsed = {name: json.loads(row[name]) for name in ("columns", "profile", "notes", "manifest", "options")}
    return Dataset(**{**row, **parsed})
