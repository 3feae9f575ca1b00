"""Verbs on models and their training."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from appliance.app import App
from appliance.db import Row
from appliance.errors import BadInput, Conflict
from appliance.registry import datasets, deployments, models
from appliance.registry.models import Version
from appliance.registry.names import check_name, parse_reference
from appliance.verbs.call import Call

TASKS = ("binary", "multiclass", "regression")
ALGORITHMS = ("lightgbm", "linear", "mlp")


def train(app: App, call: Call) -> Row:
    """Start training a new version of a model; `{"job"}`. What can be checked now is checked now."""
    model = check_name(call.text("model"), "model")
    name, number = parse_reference(call.text("dataset"), "dataset")
    dataset = datasets.find(app.home.registry, name, number)
    known = [column["name"] for column in dataset.columns]
    target, drop, keep = call.text("target"), call.texts("drop"), call.texts("keep")
    for column in [target, *drop, *keep]:
        if column not in known:
            raise BadInput(
                f"{dataset.reference} has no column '{column[:60]}'.", f"It has: {', '.join(known)[:300]}."
            )
    if target in drop:
        raise BadInput(f"The target '{target}' can't be left out.", "Take it out of --drop.")
    payload: dict[str, Any] = {
        "model": model,
        "dataset": dataset.name,
        "dataset_version": dataset.version,
        "target": target,
        "drop": drop,
        "keep": keep,
        "task": call.choice("task", ("auto", *TASKS)),
        "algorithm": call.choice("algorithm", ("auto", *ALGORITHMS)),
        "budget": call.number("budget", app.home.config.training.budget, 1, 86_400),
        "seed": int(call.number("seed", 0, 0, 2**31 - 1)),
    }
    job = app.new_job("train", model, payload, seconds=payload["budget"])
    there = (dataset.name, dataset.version)
    return {"job": app.start_job(job, call.actor, lambda tx: datasets.find(tx, *there))}


def ls(app: App, call: Call) -> list[Row]:
    """Every model with its newest version and what answers now."""
    rows = []
    for name in models.names(app.home.registry):
        newest = models.find_version(app.home.registry, name)
        live = deployments.live(app.home.registry, name)
        rows.append(
            {
                "model": name,
                "versions": newest.version,
                "task": newest.task,
                "state": newest.state.value,
                "live": live.version if live else None,
                "runtime": live.runtime if live else None,
                "metrics": newest.metrics,
            }
        )
    return rows


def show(app: App, call: Call) -> Row:
    """One version: what it reads, how good it is, who may use it."""
    version = _named(app, call)
    run = models.find_run(app.home.registry, version.run)
    return version.summary() | {
        "signature": version.signature,
        "target": run.target,
        "dataset": f"{run.dataset}:{run.dataset_version}",
        "parameters": run.parameters,
        "environment": run.environment,
        "seconds": run.seconds,
    }


def versions(app: App, call: Call) -> list[Row]:
    name, _ = parse_reference(call.text("model"), "model")
    models.find_version(app.home.registry, name)
    return [version.summary() for version in models.versions(app.home.registry, name)]


def report(app: App, call: Call) -> Row:
    """What validation found: `{"report"}` as JSON and `{"html"}` as one self-contained page."""
    version = _named(app, call)
    stored = json.loads(version.report)
    return {
        "model": version.model,
        "version": version.version,
        "report": json.loads(app.home.get(stored["json"])),
        "html": app.home.get(stored["html"]).decode(),
    }


def export(app: App, call: Call) -> Row:
    """The portable graph (ONNX, base64) with the signature that feeds it; audited."""
    version = _named(app, call)
    graph = app.home.get(version.graph)
    with app.home.registry.write() as tx:
        tx.audit(call.actor, "model.export", f"model:{version.reference}", {"digest": version.digest})
    return {
        "model": version.model,
        "version": version.version,
        "digest": version.digest,
        "signature": version.signature,
        "onnx": b64encode(graph).decode(),
    }


def approve(app: App, call: Call) -> Row:
    """Allow a version that the gate refused, with a written reason."""
    version = _named(app, call)
    reason = call.text("reason", "").strip()
    if len(reason) < 10:
        raise BadInput(
            "An approval needs a written reason of at least 10 letters.",
            f"For example: falaj model approve {version.reference} --reason 'agreed with the owner on 3 May'",
        )
    with app.home.registry.write() as tx:
        models.approve(tx, models.find_version(tx, version.model, version.version), call.actor, reason)
        tx.audit(call.actor, "model.approve", f"model:{version.reference}", {"reason": reason})
    return models.find_version(app.home.registry, version.model, version.version).summary()


def rm(app: App, call: Call) -> Row:
    """Remove one version. Raises Conflict while it answers."""
    name, number = parse_reference(call.text("model"), "model")
    if number is None:
        raise BadInput("Say which version to remove.", f"For example: falaj model rm {name}:1")
    with app.home.registry.write() as tx:
        version = models.find_version(tx, name, number)
        held = [
            one for one in deployments.history(tx, name) if one.version == number and one.finished_at is None
        ]
        if held:
            raise Conflict(
                f"{version.reference} is deployed, so it can't be removed.",
                f"Deploy another version first, or: falaj undeploy {name}",
            )
        blobs = models.remove_version(tx, version)
        tx.audit(call.actor, "model.remove", f"model:{version.reference}", {"digest": version.digest})
    for blob in blobs:
        app.home.blobs.remove(blob)
    return {"model": version.model, "version": version.version, "removed": True}


def _named(app: App, call: Call) -> Version:
    name, number = parse_reference(call.text("model"), "model")
    return models.find_version(app.home.registry, name, number)
