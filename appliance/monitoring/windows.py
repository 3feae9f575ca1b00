"""Windows: the live rows of a version as counts in its reference bins, until there are enough to judge.

Workers add to the one open window of a version; the job worker closes and judges it (`watch`). Closed ones
are history, of which after two hours one an hour is kept, and what had drifted.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from appliance import clock
from appliance.data.bins import Counts
from appliance.db import Row, Store, Transaction
from appliance.db.store import dumps

NOTHING_FOUND: Row = {"verdict": "undecided", "calibrated": False, "features": [], "answers": []}
KEPT = 5000  # most closed windows of a model


class Verdict(StrEnum):
    STABLE = "stable"  # it looks like the training data
    DRIFTED = "drifted"  # it does not
    UNDECIDED = "undecided"  # too few rows to tell


@dataclass(frozen=True)
class Window:
    """`features` and `score`: flat counts as the reference's tables lay them; `finding`: what was found."""

    id: int
    model: str
    version: int
    opened_at: str
    updated_at: str
    closed_at: str | None
    rows: int
    features: Counts
    score: Counts
    verdict: Verdict | None
    finding: Row | None


def add(tx: Transaction, model: str, version: int, rows: int, features: Counts, score: Counts) -> None:
    """Add counts to the open window of a version; open one where there is none."""
    now, old = clock.now(), open_of(tx, model, version)
    if old is not None and (len(old.features), len(old.score)) != (len(features), len(score)):
        close(tx, old, Verdict.UNDECIDED, NOTHING_FOUND)  # of another reference, as after an odd restore
        old = None
    if old is None:
        tx.insert(
            "windows",
            {
                "model": model, "version": version, "opened_at": now, "updated_at": now, "rows": rows,
                "features": _packed(features), "score": _packed(score),
            },
        )  # fmt: skip
        return
    tx.execute(
        "UPDATE windows SET updated_at = ?, rows = ?, features = ?, score = ? WHERE id = ?",
        (now, old.rows + rows, _packed(old.features + features), _packed(old.score + score), old.id),
    )


def close(tx: Transaction, window: Window, verdict: Verdict, finding: Row) -> None:
    tx.execute(
        "UPDATE windows SET closed_at = ?, verdict = ?, finding = ? WHERE id = ?",
        (clock.now(), verdict.value, dumps(finding), window.id),
    )


def every_open(store: Store | Transaction) -> list[Window]:
    return [_from_row(row) for row in store.all("SELECT * FROM windows WHERE closed_at IS NULL")]


def open_of(store: Store | Transaction, model: str, version: int) -> Window | None:
    row = store.one(
        "SELECT * FROM windows WHERE model = ? AND version = ? AND closed_at IS NULL", (model, version)
    )
    return _from_row(row) if row else None


def last(store: Store, model: str, version: int) -> Window | None:
    """The newest judged window of a version."""
    return next(iter(history(store, model, 1, version)), None)


def history(store: Store, model: str, limit: int, version: int | None = None) -> list[Window]:
    """Judged windows of a model (of one version), newest first."""
    rows = store.all(
        "SELECT * FROM windows WHERE model = ? AND closed_at IS NOT NULL AND version = coalesce(?, version)"
        " ORDER BY id DESC LIMIT ?",
        (model, version, limit),
    )
    return [_from_row(row) for row in rows]


def span(window: Window | None) -> Row | None:
    """Which window it was, as JSON."""
    if window is None:
        return None
    return {
        "id": window.id,
        "from": window.opened_at,
        "to": window.closed_at or window.updated_at,
        "rows": window.rows,
    }


def thin(tx: Transaction, before: str) -> None:
    """Of those closed `before`, keep the last of each hour and all that had drifted; of each model, KEPT."""
    tx.execute(
        "DELETE FROM windows WHERE closed_at < ? AND verdict <> 'drifted' AND id NOT IN"
        " (SELECT max(id) FROM windows WHERE closed_at < ?"
        " GROUP BY model, version, substr(closed_at, 1, 13))",
        (before, before),
    )
    tx.execute(
        "DELETE FROM windows WHERE closed_at IS NOT NULL AND id IN (SELECT id FROM"
        " (SELECT id, row_number() OVER (PARTITION BY model ORDER BY id DESC) AS place FROM windows)"
        " WHERE place > ?)",
        (KEPT,),
    )


def _packed(counts: Counts) -> bytes:
    return zlib.compress(counts.astype("<i8").tobytes(), 1)


def _unpacked(content: bytes) -> Counts:
    return np.frombuffer(zlib.decompress(content), "<i8").astype(np.int64)


def _from_row(row: Row) -> Window:
    parsed: Row = {name: _unpacked(row[name]) for name in ("features", "score")}
    parsed["verdict"] = None if row["verdict"] is None else Verdict(row["verdict"])
    parsed["finding"] = None if row["finding"] is None else json.loads(row["finding"])
    return Window(**{**row, **parsed})
