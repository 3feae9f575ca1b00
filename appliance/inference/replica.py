"""One inference worker's own follower of the registry: holds what the deployment rows say.

Whenever the registry has changed, it does what is missing: prepares versions beside those that answer,
moves one pointer per switch, drains and closes what was replaced. What it holds it tells on tmpfs; the
roll-out controller waits for that. It never writes the registry.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

from appliance import presence
from appliance.data.bins import Reference
from appliance.data.signature import Signature
from appliance.db import Row
from appliance.errors import FalajError
from appliance.home import Home
from appliance.inference.follower import Follower
from appliance.inference.plane import Artefact, Plane, Served, prepare
from appliance.registry import deployments, models
from appliance.registry.deployments import Deployment, DeploymentState
from appliance.runtimes.proof import Proof

log = logging.getLogger(__name__)

_ALWAYS = 2.0  # look at the registry this often even if nobody said so
_AGAIN = 20.0  # after so long, what could not be loaded is tried again


class Replica:
    """Follows the registry for one worker. `errors` gives the worker's count of failed requests."""

    def __init__(self, home: Home, plane: Plane, errors: Callable[[], int]) -> None:
        self._is_ready = threading.Event()
        self._home = home
        self._plane = plane
        self._errors = errors
        self._live: dict[str, Deployment] = {}
        self._prepared: dict[int, Served] = {}
        self._failed: dict[int, str] = {}
        self._failed_at = 0.0
        self._follower = Follower("falaj-replica", home.run_dir, self._look, every=_ALWAYS)

    @property
    def ready(self) -> bool:
        return self._is_ready.is_set()

    def start(self) -> None:
        self._follower.start()

    def wait_until_ready(self, seconds: float = 120.0) -> bool:
        """Block until the live versions are loaded (or could not be); False when that took too long."""
        return self._is_ready.wait(seconds)

    def stop(self) -> None:
        """Say that this worker no longer counts."""
        self._follower.stop()
        presence.leave(self._home.run_dir, "inference-worker")

    def _look(self, stamp: int) -> None:
        wanted = deployments.serving(self._home.registry)
        if time.monotonic() - self._failed_at > _AGAIN:
            self._failed.clear()
        for deployment in wanted:
            if deployment.state is DeploymentState.LIVE:
                self._switch(deployment)
        for model in [name for name in self._live if not any(_is_live(one, name) for one in wanted)]:
            self._retire(model)
        self._plane.lost = {
            one.model: self._failed[one.id]
            for one in wanted
            if one.state is DeploymentState.LIVE and one.id in self._failed and one.model not in self._live
        }
        for deployment in wanted:
            if deployment.state is DeploymentState.PREPARING:
                self._prepare(deployment)
        self._forget({deployment.id for deployment in wanted})
        self._announce()
        # A switch that came after our look and before that announcement did not wait for this worker.
        if not self.ready and _states(deployments.serving(self._home.registry)) == _states(wanted):
            self._is_ready.set()
            self._announce()

    def _prepare(self, deployment: Deployment) -> None:
        if deployment.id in self._prepared or deployment.id in self._failed:
            return
        try:
            self._prepared[deployment.id] = prepare(artefact(self._home, deployment))
        except FalajError as error:
            log.warning("%s:%d can't be served: %s", deployment.model, deployment.version, error.message)
            self._fail(deployment, error.message)
        except Exception:
            log.exception("%s:%d can't be loaded", deployment.model, deployment.version)
            self._fail(deployment, "It can't be loaded here; the log says why.")

    def _fail(self, deployment: Deployment, why: str) -> None:
        self._failed[deployment.id], self._failed_at = why, time.monotonic()

    def _switch(self, deployment: Deployment) -> None:
        current = self._live.get(deployment.model)
        if current is not None and current.id == deployment.id:
            return
        self._prepare(deployment)
        served = self._prepared.pop(deployment.id, None)
        if served is None:
            return
        old = self._plane.switch(deployment.model, served)
        self._live[deployment.model] = deployment
        self._drain(old)

    def _retire(self, model: str) -> None:
        del self._live[model]
        self._drain(self._plane.switch(model, None))

    def _drain(self, served: Served | None) -> None:
        if served is not None and not self._plane.drain(served, self._home.config.inference.drain_seconds):
            log.warning("%r still answers a request after its time; it stays open", served)

    def _forget(self, wanted: set[int]) -> None:
        for id in [id for id in self._prepared if id not in wanted]:
            self._prepared.pop(id).session.close()
        for id in [id for id in self._failed if id not in wanted]:
            del self._failed[id]

    def _announce(self) -> None:
        told: dict[str, Row] = {}
        for model, deployment in self._live.items():
            told[model] = {
                "live": deployment.id,
                "version": deployment.version,
                "runtime": deployment.runtime,
            }
        prepared = {served.model: id for id, served in self._prepared.items()}
        for model, id in prepared.items():
            told.setdefault(model, {"live": None, "version": None, "runtime": None})["prepared"] = id
        body = {"ready": self.ready, "models": told, "failed": self._failed, "errors": self._errors()}
        presence.announce(self._home.run_dir, "inference-worker", body)


def artefact(home: Home, deployment: Deployment) -> Artefact:
    """What a deployment serves, as the registry and the stored files have it. Raises FalajError."""
    version = models.find_version(home.registry, deployment.model, deployment.version)
    proof = Proof.unpack(home.get(version.proof))
    return Artefact(
        model=version.model,
        version=version.version,
        graph=home.get(version.graph),
        signature=Signature.from_json(version.signature),
        runtime=deployment.runtime,
        proof_rows=proof.rows,
        proof_expected=proof.expected,
        tolerance=proof.tolerance,
        reference=Reference.from_json(json.loads(home.get(version.reference_bins))),
    )


def _states(wanted: list[Deployment]) -> dict[int, DeploymentState]:
    return {deployment.id: deployment.state for deployment in wanted}


def _is_live(deployment: Deployment, model: str) -> bool:
    return deployment.model == model and deployment.state is DeploymentState.LIVE
