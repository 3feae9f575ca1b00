"""The state of the appliance as a whole: is every role there, and what is wrong?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from appliance import presence
from appliance.app import App
from appliance.db import Row
from appliance.egress import client
from appliance.errors import FalajError
from appliance.home import Home
from appliance.registry import alerts, datasets, deployments, models
from appliance.registry.deployments import DeploymentState
from appliance.verbs import troubles
from appliance.verbs.call import Call
from appliance.verbs.certificates import links, own_address

_T = TypeVar("_T")

_LOADING = "it is being loaded"
# the roles that say themselves that they are there; the egress role is asked
ROLES = {"inference": "inference-worker", "admin": "admin", "worker": "worker"}


def status(app: App, call: Call) -> Row:
    """Whether every role is there and ready, what each one says, and what is wrong. Never fails.

    What the registry can't tell at the moment is null.
    """
    roles = {name: _role(app.home, name, kind) for name, kind in ROLES.items()} | {
        "egress": _egress(app.home)
    }
    counts = {
        "datasets": _unless_unreadable(lambda: len(datasets.names(app.home.registry))),
        "models": _unless_unreadable(lambda: len(models.names(app.home.registry))),
        "alerts": _unless_unreadable(lambda: len(alerts.unresolved(app.home.registry))),
    }
    return {
        "ready": all(role["ready"] for role in roles.values()),
        "roles": roles,
        **counts,
        "troubles": _troubles(app.home, roles["inference"]["lost"]),  # after all looks at the registry
    }


def _links(home: Home, name: str) -> list[str]:
    return _unless_unreadable(lambda: links(home, name)) or [own_address(home, name)]


def _troubles(home: Home, missing: dict[str, str]) -> list[Row]:
    found = [trouble.as_json() for trouble in troubles.find(home)]
    for version, why in sorted(missing.items()):
        if why != _LOADING:
            told = {
                "trouble": f"{version} should answer and does not: {why}",
                "fix": "Deploy another version.",
            }
            found.append(told)
    return found


def _unless_unreadable(look: Callable[[], _T]) -> _T | None:
    try:
        return look()
    except (FalajError, OSError):
        return None


def _role(home: Home, name: str, kind: str) -> Row:
    found = presence.present(home.run_dir, kind)
    wanted = home.config.inference_workers if name == "inference" else 1
    role: Row = {
        "ready": len(found) >= wanted and all(body["ready"] for body in found),
        "pids": [body["pid"] for body in found],
    }
    if name == "inference":
        served = {
            model: told["version"] for body in found for model, told in body["models"].items() if told["live"]
        }
        role |= {
            "address": own_address(home, name),
            "addresses": _links(home, name),
            "workers": len(found),
            "serving": served,
            "lost": _unless_unreadable(lambda: lost(home, found)) or {},
        }
        told = next(iter(presence.present(home.run_dir, "inference")), {})
        role["lost"] = told.get("wrong", {}) | role["lost"]
        role |= _crew(home, told)
    if name == "admin":
        role |= {"address": own_address(home, name), "addresses": _links(home, name)}
    return role


def _egress(home: Home) -> Row:
    """Asked, because the process of another account can't be seen."""
    pid = client.is_ready(home.config.egress_dir)
    return {"ready": pid is not None, "pids": [] if pid is None else [pid]}


def _crew(home: Home, told: Row) -> Row:
    """Between how many workers the load may choose, and the mean part of a core that each one uses."""
    shares = list(told.get("busy", {}).values())
    return {
        "floor": home.config.inference_workers,
        "ceiling": home.config.inference_workers_max,
        "busy": round(min(1.0, sum(shares) / len(shares)), 2) if shares else None,
    }


def lost(home: Home, workers: list[Row]) -> dict[str, str]:
    """The live versions that some running worker does not answer for, and why."""
    found: dict[str, str] = {}
    for deployment in deployments.serving(home.registry):
        for body in workers:
            held = {told["live"] for told in body["models"].values()}
            if deployment.state is DeploymentState.LIVE and deployment.id not in held:
                name = f"{deployment.model}:{deployment.version}"
                found[name] = body["failed"].get(str(deployment.id), _LOADING)
    return found
