"""A roll-out in two steps, so that no worker ever answers from a version that another can't load.

A row in state `preparing` makes every inference worker load the version, prove its answers against the
ones stored at registration and warm it up. Only when all of them report it ready does one transaction
switch the row to `live`; the workers then move one pointer each and drain what still runs. If one of
them can't, the row fails and nothing has changed. The registry row is the truth: a worker that starts
meanwhile reads it and does the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance import presence
from appliance.db import Row, Transaction
from appliance.errors import Conflict, DeadlineExceeded, FalajError, Unavailable
from appliance.home import Home
from appliance.registry import deployments, models
from appliance.registry.deployments import Deployment
from appliance.registry.models import Version

_LOOK = 0.02
_PATIENCE = 120.0
_ABANDONED = "The appliance stopped during the roll-out."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replica:
    """What one inference worker reports of one model."""

    process: str
    ready: bool
    live: int | None
    prepared: int | None
    failed: dict[str, str]
    errors: int


def deploy(home: Home, version: Version, runtime: str, by: str, leading: set[int]) -> Row:
    """Make a version answer; returns the contract's JSON once every worker answers from it.

    `leading` holds the deployments that this process is leading now: any other one that is still being
    prepared was abandoned and is failed first.

    Raises Conflict for a refused version or a roll-out under way, Unavailable without workers, and
    FalajError with a worker's reason when the version can't be served; the old version then stays.
    """
    if not version.deployable:
        raise Conflict(
            f"{version.reference} was refused by the gate.",
            f"Read why with: falaj model report {version.reference}; an approver may allow it with: "
            f"falaj model approve {version.reference} --reason '...'",
        )
    if not replicas(home, version.model):
        raise Unavailable("No inference worker is running.", "Start the appliance with: falaj run")
    started = time.monotonic()
    with home.registry.write() as tx:
        for other in deployments.unfinished(tx):
            if other.model == version.model and other.id not in leading:
                _fail(tx, other.id, other.model, _ABANDONED, "system")
        id = deployments.begin(tx, version.model, version.version, runtime, by)
        detail = {"version": version.version, "runtime": runtime}
        tx.audit(by, "deployment.begin", f"model:{version.model}", detail | {"deployment": id})
        leading.add(id)
    try:
        presence.poke(home.run_dir)
        wanted = home.config.inference_workers
        _wait(home, version.model, lambda replica: _is_prepared(replica, id, version.reference), wanted)
        before = {replica.process: replica.errors for replica in replicas(home, version.model)}
        with home.registry.write() as tx:
            deployments.switch(tx, id, version.model)
            tx.audit(by, "deployment.switch", f"model:{version.model}", detail | {"deployment": id})
    except Exception as error:
        why = error.message if isinstance(error, FalajError) else "The roll-out failed unexpectedly."
        _give_up(home, id, version.model, why, by)
        raise
    finally:
        leading.discard(id)
    presence.poke(home.run_dir)
    _wait(home, version.model, lambda replica: replica.live == id or _is_over(home, version.model, id))
    after = replicas(home, version.model)
    dropped = sum(replica.errors - before.get(replica.process, replica.errors) for replica in after)
    seconds = round(time.monotonic() - started, 3)
    with home.registry.write() as tx:
        deployments.record(tx, id, len(after), dropped, seconds)
    return {
        "deployment": id,
        "model": version.model,
        "version": version.version,
        "mode": "live",
        "runtime": runtime,
        "workers": len(after),
        "dropped": dropped,
        "seconds": seconds,
    }


def rollback(home: Home, model: str, by: str, leading: set[int]) -> Row:
    """Deploy the version that answered before. Raises NotFound when there was none."""
    before = deployments.previous(home.registry, model)
    return deploy(
        home, models.find_version(home.registry, model, before.version), before.runtime, by, leading
    )


def undeploy(home: Home, model: str, by: str) -> Row:
    """Stop answering for a model. Raises Conflict when it isn't deployed."""
    with home.registry.write() as tx:
        current = deployments.live(tx, model)
        if current is None:
            raise Conflict(f"'{model}' is not deployed.", "See what is: falaj model ls")
        deployments.retire(tx, current.id)
        tx.audit(by, "deployment.retire", f"model:{model}", {"deployment": current.id})
    presence.poke(home.run_dir)
    _wait(home, model, lambda replica: replica.live != current.id)
    return {"model": model, "deployment": current.id, "state": "retired"}


def reconcile(home: Home) -> list[Deployment]:
    """At start: a roll-out that nobody leads any more has failed."""
    found = deployments.unfinished(home.registry)
    for deployment in found:
        _give_up(home, deployment.id, deployment.model, _ABANDONED, "system")
    return found


def replicas(home: Home, model: str) -> list[Replica]:
    """The living inference workers and what each says of a model."""
    found = []
    for body in presence.present(home.run_dir, "inference-worker"):
        told = body["models"].get(model, {})
        found.append(
            Replica(
                process=body["process"],
                ready=body["ready"],
                live=told.get("live"),
                prepared=told.get("prepared"),
                failed=body["failed"],
                errors=body["errors"],
            )
        )
    return found


def _is_prepared(replica: Replica, id: int, reference: str) -> bool:
    if why := replica.failed.get(str(id)):
        raise FalajError(
            f"{reference} can't be served: {why}",
            "What answered before still does. To see what is damaged: falaj doctor",
        )
    return id in (replica.prepared, replica.live)


def _is_over(home: Home, model: str, id: int) -> bool:
    """Whether a later deployment (or an undeploy) took over already, so that no worker will show this one."""
    current = deployments.live(home.registry, model)
    return current is None or current.id != id


def _wait(home: Home, model: str, done: Callable[[Replica], bool], at_least: int = 1) -> None:
    """Wait until every living worker, and no fewer than so many, is done. Raises DeadlineExceeded."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = replicas(home, model)
        if len(found) >= at_least and all(done(replica) for replica in found):
            return
        time.sleep(_LOOK)
    raise DeadlineExceeded(
        f"Not every inference worker followed the roll-out of '{model}' within {_PATIENCE:g} seconds.",
        f"See what answers now: falaj deployment show {model}, falaj doctor",
    )


def _give_up(home: Home, id: int, model: str, why: str, by: str) -> None:
    """Fail the row. If not even that can be written, the next deploy or start does it."""
    try:
        with home.registry.write() as tx:
            _fail(tx, id, model, why, by)
        presence.poke(home.run_dir)
    except (FalajError, OSError) as error:
        log.warning("deployment %d could not be marked as failed: %s", id, error)


def _fail(tx: Transaction, id: int, model: str, why: str, by: str) -> None:
    deployments.fail(tx, id, why)
    tx.audit(by, "deployment.fail", f"model:{model}", {"deployment": id, "why": why})
