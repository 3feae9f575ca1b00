"""What is in use: put a version to use, go back, stop."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from appliance.admin import words
from appliance.admin.rendering import _, act, ask, go, page
from appliance.doors import access

blueprint = Blueprint("deployments", __name__)


@blueprint.get("/deployments")
@access.needs("deployment.ls")
def deployments() -> Any:
    live = ask("deployment.ls")
    histories = {one["model"]: ask("deployment.show", model=one["model"])["history"] for one in live}
    idle = [model for model in ask("model.ls") if not model["live"]]
    return page("deployments.html", live=live, before=_before(histories), idle=idle)


@blueprint.get("/deployments/<model>")
@access.needs("deployment.show")
def deployment(model: str) -> Any:
    """One model: what answers, what did before, which version could."""
    found = ask("deployment.show", model=model)
    before = _before({model: found["history"]})
    usable = [one for one in ask("model.versions", model=model) if one["state"] != "refused"]
    return page(
        "deployment.html", model=model, found=found, before=before[model], usable=usable[::-1], words=words
    )


@blueprint.post("/deployments")
@access.needs("deploy")
def deploy() -> Any:
    """Put a version to use; the page comes back when every worker answers from it."""
    reference = request.form.get("model", "")
    name = reference.partition(":")[0]
    told = _("%s answers now.") % reference
    return act("deploy", told, f"/deployments/{name}", f"/models/{reference}", model=reference)


@blueprint.post("/deployments/<model>/rollback")
@access.needs("rollback")
def rollback(model: str) -> Any:
    """Back to the version that the button named: a page that is out of date must not roll forward again."""
    here = f"/deployments/{model}"
    before = _before({model: ask("deployment.show", model=model)["history"]})[model]
    if request.form.get("to", type=int) != before:
        return go(here, "bad", _("Nothing was done: it has changed since you loaded the page. Look again."))
    told = _("%(model)s: version %(version)s answers again.") % {"model": model, "version": before}
    return act("rollback", told, here, here, model=model)


@blueprint.post("/deployments/<model>/stop")
@access.needs("undeploy")
def stop(model: str) -> Any:
    here = f"/deployments/{model}"
    return act("undeploy", _("%s no longer answers.") % model, here, here, model=model)


def _before(histories: dict[str, list[dict[str, Any]]]) -> dict[str, int | None]:
    """The version that a roll-back would go to, by model."""
    found: dict[str, int | None] = {}
    for model, history in histories.items():
        live = next((one for one in history if one["state"] == "live"), None)
        others = [
            one["version"]
            for one in history
            if one["state"] == "retired" and (live is None or one["version"] != live["version"])
        ]
        found[model] = others[0] if others else None
    return found
