"""Models: the list, and one version with what validation found."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from json import dumps
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from flask import Blueprint, current_app, request

from appliance.admin import pictures, words
from appliance.admin.rendering import _, act, ask, failed, go, page
from appliance.doors import access, headers
from appliance.errors import FalajError
from appliance.validation.words import METRICS, RULES, between, figure

blueprint = Blueprint("models", __name__)
_MOST_CLASSES = 12


@blueprint.get("/models")
@access.needs("model.ls")
def models() -> Any:
    return page("models.html", models=ask("model.ls"), words=words, main_figure=main_figure)


@blueprint.get("/models/<reference>")
@access.needs("model.show")
def model(reference: str) -> Any:
    """One version: the verdict first, then figures, pictures and where it comes from."""
    return page("model.html", **_about(reference), typed={})


def _about(reference: str) -> dict[str, Any]:
    found = ask("model.show", model=reference)
    exact = f"{found['model']}:{found['version']}"
    report = ask("model.report", model=exact)["report"]
    return {
        "found": found,
        "exact": exact,
        "report": report,
        "versions": ask("model.versions", model=found["model"]),
        "live": ask("deployment.show", model=found["model"])["live"],
        "metrics": [_metric(report, name) for name in report["metrics"]],
        "rules": [
            (words.of_the_core(RULES.get(rule["rule"], rule["rule"])), rule)
            for rule in report["gate"]["rules"]
        ],
        "charts": pictures.of(report),
        "importance": pictures.importance(report),
        "confusion": report["plots"].get("confusion") if len(report["labels"]) <= _MOST_CLASSES else None,
        "words": words,
        "main_figure": main_figure,
    }


@blueprint.get("/models/<reference>/report")
@access.needs("model.report")
def report(reference: str) -> Any:
    """The whole report as one page that stands alone, shown without scripts."""
    response = current_app.make_response(ask("model.report", model=reference)["html"])
    response.headers["Content-Security-Policy"] = headers.REPORT
    return response


@blueprint.post("/models/<reference>/export")
@access.needs("model.export")
def export(reference: str) -> Any:
    """The portable model as a zip with its graph and its signature."""
    made = ask("model.export", model=reference)
    archive = BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as files:
        files.writestr("model.onnx", b64decode(made["onnx"]))
        files.writestr("signature.json", dumps(made["signature"], indent=1, ensure_ascii=False))
    response = current_app.make_response(archive.getvalue())
    response.headers["Content-Type"] = "application/zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{made["model"]}-{made["version"]}.zip"'
    return response


@blueprint.post("/models/<reference>/approve")
@access.needs("model.approve")
def approve(reference: str) -> Any:
    reason = request.form.get("reason", "")
    try:
        ask("model.approve", model=reference, reason=reason)
    except FalajError as error:
        return failed("model.html", error, **_about(reference), typed={"reason": reason})
    return go(f"/models/{reference}", "good", _("%s may be used now.") % reference)


@blueprint.post("/models/<reference>/remove")
@access.needs("model.rm")
def remove(reference: str) -> Any:
    told = _("%s was removed.") % reference
    return act("model.rm", told, "/models", f"/models/{reference}", model=reference)


def main_figure(metrics: dict[str, Any]) -> str:
    """The first figure of a version, with its term: `92.7 % AUC`."""
    name, value = next(iter(metrics.items()))
    return f"{figure(value['value'], METRICS[name].share)} {METRICS[name].term}"


def _metric(report: dict[str, Any], name: str) -> dict[str, Any]:
    """One figure in words, against guessing and the model in use."""
    word, value = METRICS[name], report["metrics"][name]
    guessing = report["baseline"].get(name)
    champion = (report["champion"] or {}).get(name)
    return {
        "word": {
            "plain": words.of_the_core(word.plain),
            "term": word.term,
            "reading": words.of_the_core(word.reading),
        },
        "value": figure(value["value"], word.share),
        "between": between(value, word.share),
        "guessing": figure(guessing["value"], word.share) if guessing else None,
        "champion": figure(champion["value"], word.share) if champion else None,
        "champion_name": report["champion_name"] or _("model in use"),
    }
