"""Verbs on deployments."""

from __future__ import annotations

from appliance.app import App
from appliance.db import Row
from appliance.errors import BadInput, Conflict
from appliance.registry import deployments, models
from appliance.registry.models import Version
from appliance.registry.names import parse_reference
from appliance.rollout import controller
from appliance.verbs.call import Call


def deploy(app: App, call: Call) -> Row:
    """Make a version (the newest unless told) answer."""
    name, number = parse_reference(call.text("model"), "model")
    version = models.find_version(app.home.registry, name, number)
    runtime = choose_runtime(version, call.optional("runtime"))
    return controller.deploy(app.home, version, runtime, call.actor, app.leading)


def rollback(app: App, call: Call) -> Row:
    name, _ = parse_reference(call.text("model"), "model")
    models.find_version(app.home.registry, name)
    return controller.rollback(app.home, name, call.actor, app.leading)


def undeploy(app: App, call: Call) -> Row:
    name, _ = parse_reference(call.text("model"), "model")
    models.find_version(app.home.registry, name)
    return controller.undeploy(app.home, name, call.actor)


def ls(app: App, call: Call) -> list[Row]:
    """What answers now, by model."""
    live = [one.summary() for one in deployments.serving(app.home.registry)]
    return sorted((one for one in live if one["state"] == "live"), key=lambda one: str(one["model"]))


def show(app: App, call: Call) -> Row:
    """The live deployment of a model and its history, newest first."""
    name, _ = parse_reference(call.text("model"), "model")
    models.find_version(app.home.registry, name)
    history = [one.summary() for one in deployments.history(app.home.registry, name)]
    live = next((one for one in history if one["state"] == "live"), None)
    return {"model": name, "live": live, "history": history}


def choose_runtime(version: Version, pinned: str | None) -> str:
    """The fastest runtime by measured one-row latency, or the pinned one. Raises BadInput."""
    usable = [entry for entry in version.runtimes if entry["ok"]]
    if not usable:
        raise Conflict(
            f"No runtime gives the trained model's answers for {version.reference}, so it can't be served.",
            "Train it again, perhaps with another --algorithm.",
        )
    if pinned is not None:
        entry = next((entry for entry in version.runtimes if entry["runtime"] == pinned), None)
        names = ", ".join(entry["runtime"] for entry in usable)
        if entry is None:
            raise BadInput(f"There is no runtime '{pinned}'.", f"This version can be served by: {names}.")
        if not entry["ok"]:
            raise BadInput(
                f"The runtime '{pinned}' can't serve {version.reference}: {entry['why']}",
                f"This version can be served by: {names}.",
            )
        return pinned
    return str(min(usable, key=lambda entry: entry["p50_us"])["runtime"])
