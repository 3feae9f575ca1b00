"""Alerts: a rule that fired for a model, until somebody or the appliance itself resolves it.

At most one alert a model and rule is unresolved (a unique index), so that nothing is told twice: what is
found again only brings the alert up to date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from appliance import clock
from appliance.db import Row, Store, Transaction
from appliance.db.store import dumps
from appliance.errors import Conflict, NotFound

DRIFT = "drift"  # live rows or answers differ from the training data


class AlertState(StrEnum):
    OPEN = "open"  # it fired, and nobody has looked yet
    ACKNOWLEDGED = "acknowledged"  # somebody knows of it
    RESOLVED = "resolved"  # it has passed, or somebody says that it is dealt with


TRANSITIONS: dict[AlertState, frozenset[AlertState]] = {
    AlertState.OPEN: frozenset({AlertState.ACKNOWLEDGED, AlertState.RESOLVED}),
    AlertState.ACKNOWLEDGED: frozenset({AlertState.RESOLVED}),
    AlertState.RESOLVED: frozenset(),
}


@dataclass(frozen=True)
class Alert:
    """`features` are those at fault, the worst first; `quiet` counts windows in a row without a finding."""

    id: int
    model: str
    version: int
    rule: str
    state: AlertState
    features: list[str]
    detail: Row
    quiet: int
    opened_at: str
    updated_at: str
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    resolved_by: str | None

    def summary(self) -> Row:
        """The contract's JSON, and what else is known."""
        row = dict(vars(self))
        opened = row.pop("opened_at")
        return row | {"state": self.state.value, "opened": opened}


def find(store: Store | Transaction, id: int) -> Alert:
    """Raises NotFound."""
    row = store.one("SELECT * FROM alerts WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"There is no alert {id}.", "See what there is with: falaj alert ls --all")
    return _from_row(row)


def unresolved(store: Store | Transaction, model: str | None = None) -> list[Alert]:
    """The alerts that still hold (of one model), newest first."""
    rows = store.all(
        "SELECT * FROM alerts WHERE state <> 'resolved' AND model = coalesce(?, model) ORDER BY id DESC",
        (model,),
    )
    return [_from_row(row) for row in rows]


def recent(store: Store, limit: int = 200) -> list[Alert]:
    """The newest alerts, resolved ones too."""
    return [_from_row(row) for row in store.all("SELECT * FROM alerts ORDER BY id DESC LIMIT ?", (limit,))]


def fire(
    tx: Transaction, rule: str, model: str, version: int, features: list[str], detail: Row
) -> int | None:
    """Say that a rule holds. The id of a new alert; None when one was there, which is brought up to date."""
    now, found = clock.now(), _unresolved(tx, rule, model)
    if found is None:
        id = tx.insert(
            "alerts",
            {
                "model": model, "version": version, "rule": rule, "state": AlertState.OPEN.value,
                "features": dumps(features), "detail": dumps(detail), "opened_at": now, "updated_at": now,
            },
        )  # fmt: skip
        tx.audit("system", "alert.open", f"model:{model}", {"alert": id, "rule": rule, "features": features})
        return id
    tx.execute(
        "UPDATE alerts SET version = ?, features = ?, detail = ?, updated_at = ?, quiet = 0 WHERE id = ?",
        (version, dumps(features), dumps(detail), now, found.id),
    )
    return None


def calm(tx: Transaction, rule: str, model: str, windows: int) -> bool:
    """Say that a rule does not hold any more; after so many times in a row its alert is resolved (True)."""
    found = _unresolved(tx, rule, model)
    if found is None:
        return False
    if found.quiet + 1 >= windows:
        resolve(tx, found.id, "system", "it has passed")
        return True
    tx.execute("UPDATE alerts SET quiet = quiet + 1 WHERE id = ?", (found.id,))
    return False


def acknowledge(tx: Transaction, id: int, by: str) -> None:
    """Somebody knows of it. Raises NotFound, Conflict."""
    _move(tx, find(tx, id), AlertState.ACKNOWLEDGED, by)
    tx.audit(by, "alert.acknowledge", f"alert:{id}", {})


def resolve(tx: Transaction, id: int, by: str, why: str = "") -> None:
    """It is over. Raises NotFound, Conflict."""
    _move(tx, find(tx, id), AlertState.RESOLVED, by)
    tx.audit(by, "alert.resolve", f"alert:{id}", {"why": why} if why else {})


def _unresolved(tx: Transaction, rule: str, model: str) -> Alert | None:
    return next((alert for alert in unresolved(tx, model) if alert.rule == rule), None)


def _move(tx: Transaction, alert: Alert, new: AlertState, by: str) -> None:
    if new not in TRANSITIONS[alert.state]:
        raise Conflict(f"Alert {alert.id} is {alert.state.value} already.", "See: falaj alert ls --all")
    tx.execute(
        f"UPDATE alerts SET state = ?, {new.value}_at = ?, {new.value}_by = ? WHERE id = ?",
        (new.value, clock.now(), by, alert.id),
    )


def _from_row(row: Row) -> Alert:
    parsed = {name: json.loads(row[name]) for name in ("features", "detail")}
    return Alert(**{**row, **parsed, "state": AlertState(row["state"])})
