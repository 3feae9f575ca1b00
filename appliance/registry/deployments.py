"""Deployments: which version of a model answers, and the history of that.

At most one row a model is `live` and at most one is `preparing` (both are unique indexes). A switch is
one transaction: the prepared row becomes live and the one before it retired.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance import clock
from appliance.db import Row, Store, Transaction, known
from appliance.errors import Conflict, NotFound


class DeploymentState(StrEnum):
    PREPARING = "preparing"  # workers load it and prove it; it answers nothing yet
    LIVE = "live"  # it answers
    RETIRED = "retired"  # it answered, and another took over
    FAILED = "failed"  # it never answered; `error` says why


TRANSITIONS: dict[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.PREPARING: frozenset({DeploymentState.LIVE, DeploymentState.FAILED}),
    DeploymentState.LIVE: frozenset({DeploymentState.RETIRED}),
    DeploymentState.RETIRED: frozenset(),
    DeploymentState.FAILED: frozenset(),
}


@dataclass(frozen=True)
class Deployment:
    """One roll-out of one version. `dropped` counts requests that failed because of the switch."""

    id: int
    model: str
    version: int
    mode: str
    runtime: str
    state: DeploymentState
    workers: int | None
    dropped: int | None
    seconds: float | None
    error: str | None
    created_at: str
    created_by: str
    finished_at: str | None

    def summary(self) -> Row:
        """The contract's shape, with the history's columns."""
        row = dict(vars(self))
        row["deployment"] = row.pop("id")
        return row | {"state": self.state.value}


def serving(store: Store) -> list[Deployment]:
    """What workers must hold: all rows that are live or being prepared."""
    return [
        _from_row(row) for row in store.all("SELECT * FROM deployments WHERE state IN ('live', 'preparing')")
    ]


def history(store: Store | Transaction, model: str) -> list[Deployment]:
    """All deployments of a model, newest first."""
    rows = store.all("SELECT * FROM deployments WHERE model = ? ORDER BY id DESC", (model,))
    return [_from_row(row) for row in rows]


def live(store: Store | Transaction, model: str) -> Deployment | None:
    row = store.one("SELECT * FROM deployments WHERE model = ? AND state = 'live'", (model,))
    return _from_row(row) if row else None


def previous(store: Store | Transaction, model: str) -> Deployment:
    """The deployment that answered before the live one. Raises NotFound when there was none."""
    current = live(store, model)
    for deployment in history(store, model):
        other = current is None or deployment.version != current.version
        if deployment.state is DeploymentState.RETIRED and other:
            return deployment
    raise NotFound(
        f"There is no earlier version of '{model}' to go back to.", f"See: falaj deployment show {model}"
    )


def begin(tx: Transaction, model: str, version: int, runtime: str, by: str) -> int:
    """Open a deployment in state preparing. Raises Conflict while another one is being prepared."""
    if tx.one("SELECT 1 FROM deployments WHERE model = ? AND state = 'preparing'", (model,)):
        raise Conflict(
            f"Another deployment of '{model}' is under way.", "Wait until it has ended, then try again."
        )
    return tx.insert(
        "deployments",
        {
            "model": model,
            "version": version,
            "mode": "live",
            "runtime": runtime,
            "state": DeploymentState.PREPARING.value,
            "created_at": clock.now(),
            "created_by": by,
        },
    )


def switch(tx: Transaction, deployment: int, model: str) -> None:
    """Make the prepared deployment the live one."""
    current = live(tx, model)
    if current is not None:
        _move(tx, current.id, DeploymentState.LIVE, DeploymentState.RETIRED)
    _move(tx, deployment, DeploymentState.PREPARING, DeploymentState.LIVE)


def fail(tx: Transaction, deployment: int, why: str) -> None:
    _move(tx, deployment, DeploymentState.PREPARING, DeploymentState.FAILED)
    tx.execute("UPDATE deployments SET error = ? WHERE id = ?", (why, deployment))


def retire(tx: Transaction, deployment: int) -> None:
    _move(tx, deployment, DeploymentState.LIVE, DeploymentState.RETIRED)


def record(tx: Transaction, deployment: int, workers: int, dropped: int, seconds: float) -> None:
    """Add what the finished switch measured."""
    tx.execute(
        "UPDATE deployments SET workers = ?, dropped = ?, seconds = ? WHERE id = ?",
        (workers, dropped, seconds, deployment),
    )


def unfinished(store: Store | Transaction) -> list[Deployment]:
    return [_from_row(row) for row in store.all("SELECT * FROM deployments WHERE state = 'preparing'")]


def _move(tx: Transaction, deployment: int, old: DeploymentState, new: DeploymentState) -> None:
    assert new in TRANSITIONS[old]
    changed = tx.execute(
        "UPDATE deployments SET state = ?, finished_at = ? WHERE id = ? AND state = ?",
        (new.value, None if new is DeploymentState.LIVE else clock.now(), deployment, old.value),
    )
    if changed != 1:
        raise Conflict(f"Deployment {deployment} is no longer {old.value}.", "Look again, then repeat it.")


def _from_row(row: Row) -> Deployment:
    return Deployment(**{**known(Deployment, row), "state": DeploymentState(row["state"])})
