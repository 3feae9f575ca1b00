"""Version numbers: counted up for every name, and never given twice, also after a version was removed."""

from __future__ import annotations

from appliance.db import Transaction


def next_number(tx: Transaction, kind: str, name: str) -> int:
    """The next version number of a dataset or model; taken when the transaction commits."""
    tx.execute(
        "INSERT INTO numbers VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET last = last + 1",
        (kind, name),
    )
    row = tx.one("SELECT last FROM numbers WHERE kind = ? AND name = ?", (kind, name))
    assert row is not None
    return int(row["last"])
