"""Commands on models and their training."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import click

from appliance.cli.edge import Edge, table, with_edge
from appliance.errors import BadInput
from appliance.validation.words import METRICS

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_STATES = {
    "registered": "may be deployed",
    "refused": "refused by the gate",
    "approved": "refused by the gate, allowed by a person",
}


def _read_budget(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    if given is None:
        return None
    number, unit = (given[:-1], given[-1]) if given[-1:] in _UNITS else (given, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError as error:
        raise click.BadParameter(f"write it like 5m or 90s, not {given!r}") from error
    if not 1 <= seconds <= 86400:
        raise click.BadParameter("between 1s and 24h")
    return seconds


@click.command()
@click.argument("model")
@click.option("--dataset", required=True, metavar="DATASET[:VERSION]", help="What to learn from.")
@click.option("--target", required=True, metavar="COLUMN", help="What to predict.")
@click.option(
    "--task",
    type=click.Choice(["auto", "binary", "multiclass", "regression"]),
    default="auto",
    show_default=True,
    help="The kind of question; auto finds it from the target.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["auto", "lightgbm", "linear", "mlp"]),
    default="auto",
    show_default=True,
    help="Which kind of model; auto tries all and takes the best.",
)
@click.option("--budget", callback=_read_budget, metavar="TIME", help="How long it may take, e.g. 90s or 5m.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed repeats a training.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Do not learn from this column.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Learn from it although it looks like an id.")
@click.option("--detach", is_flag=True, help="Do not wait; print the job's id.")
@with_edge
def train(edge: Edge, detach: bool, drop: tuple[str, ...], keep: tuple[str, ...], **arguments: Any) -> None:
    """Train a new version of MODEL and hold it to the gate."""
    made = edge.finish(edge.call("train", drop=list(drop), keep=list(keep), **arguments), detach)
    if made is None:
        return
    edge.done(made, _verdict(made))
    if made["gate"]["verdict"] == "fail":
        sys.exit(1)


def _verdict(made: dict[str, Any]) -> str:
    name = f"{made['model']}:{made['version']}"
    lines = [f"{name}  {made['task']}, {made['algorithm']}, {made['seconds']:.1f} s"]
    lines += figures(made["metrics"])
    lines.append(f"Gate: {made['gate']['verdict']}")
    lines += [f"  {rule['verdict']:<10} {rule['why']}" for rule in made["gate"]["rules"]]
    lines += [f"  note       {note}" for note in made.get("notes", [])]
    refused = made["gate"]["verdict"] == "fail"
    lines.append(f"Read more: falaj model report {name}" if refused else f"Next: falaj deploy {name}")
    return "\n".join(lines)


def figures(metrics: dict[str, dict[str, float]]) -> list[str]:
    """Each figure in words, with the range in which it most likely lies."""
    names = {key: f"{METRICS[key].plain} ({METRICS[key].term})" for key in metrics}
    width = max(map(len, names.values()), default=0)
    return [f"  {names[key]:<{width}}  {metric(value)}" for key, value in metrics.items()]


def metric(value: dict[str, float]) -> str:
    """A figure with its interval."""
    return f"{_rounded(value['value'])}  ({_rounded(value['low'])} to {_rounded(value['high'])})"


def _rounded(figure: float) -> str:
    """Shares to four places, amounts to fewer the larger they are; never with an exponent."""
    if abs(figure) < 10:
        return f"{figure:.4f}"
    return f"{figure:,.2f}" if abs(figure) < 1000 else f"{figure:,.0f}"


@click.group()
def model() -> None:
    """Trained models and their versions."""


@model.command("ls")
@with_edge
def model_ls(edge: Edge) -> None:
    """List all models."""
    rows = edge.call("model.ls")
    columns = {
        "model": "model",
        "versions": "newest",
        "task": "task",
        "state": "state",
        "live": "answering",
        "runtime": "runtime",
    }
    edge.done(
        rows,
        table(rows, columns, "No models yet. Train one with: falaj train MODEL --dataset D --target COLUMN"),
    )


@model.command("versions")
@click.argument("model")
@with_edge
def model_versions(edge: Edge, model: str) -> None:
    """List the versions of a model."""
    rows = edge.call("model.versions", model=model)
    for row in rows:
        name, value = next(iter(row["metrics"].items()))
        row["quality"] = f"{METRICS[name].term} {metric(value)}"
    columns = {
        "version": "version",
        "state": "state",
        "algorithm": "algorithm",
        "quality": "quality on the hold-out",
        "created_at": "trained",
    }
    edge.done(rows, table(rows, columns, "No versions."))


@model.command("show")
@click.argument("model", metavar="MODEL[:VERSION]")
@with_edge
def model_show(edge: Edge, model: str) -> None:
    """Show one version: what it reads and how good it is."""
    found = edge.call("model.show", model=model)
    lines = [
        f"{found['model']}:{found['version']}  {found['state']}: {_STATES[found['state']]}",
        f"predicts   {found['target']} ({found['task']})",
        f"learnt     from {found['dataset']} with {found['algorithm']}",
        f"reads      {', '.join(column['name'] for column in found['signature']['columns'])}",
        f"digest     {found['digest']}",
    ]
    lines += ["How good it is on rows it has never seen:", *figures(found["metrics"])]
    lines += ["How fast one answer is:"]
    lines += [
        f"  {entry['runtime']:<12} {entry['p50_us']:.1f} microseconds"
        if entry["ok"]
        else f"  {entry['runtime']:<12} not possible: {entry['why']}"
        for entry in found["runtimes"]
    ]
    edge.done(found, "\n".join(lines))


@model.command("report")
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--out", type=click.Path(path_type=Path, readable=False), help="Write the report as one HTML page."
)
@with_edge
def model_report(edge: Edge, model: str, out: Path | None) -> None:
    """Show what validation found. --out writes it as a page to read or print."""
    found = edge.call("model.report", model=model)
    if out is not None:
        _write(out, found["html"].encode())
    gate, name = found["report"]["gate"], f"{found['model']}:{found['version']}"
    lines = [f"{name}  gate: {gate['verdict']}"]
    lines += [f"  {rule['verdict']:<10} {rule['why']}" for rule in gate["rules"]]
    lines.append(
        f"Written to {out}" if out else f"All of it, as a page: falaj model report {name} --out report.html"
    )
    edge.done(
        {"model": found["model"], "version": found["version"], "report": found["report"]}, "\n".join(lines)
    )


@model.command("export")
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, readable=False),
    required=True,
    help="Folder for model.onnx and signature.json.",
)
@with_edge
def model_export(edge: Edge, model: str, out: Path) -> None:
    """Write a version's graph (ONNX) and signature into a folder."""
    found = edge.call("model.export", model=model)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out} can't be made: {error.strerror}.", "Choose another folder.") from error
    _write(out / "model.onnx", b64decode(found.pop("onnx")))
    _write(out / "signature.json", json.dumps(found["signature"], indent=1, ensure_ascii=False).encode())
    edge.done(found, f"Wrote {out / 'model.onnx'} and {out / 'signature.json'}")


@model.command("approve")
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--reason", required=True, help="Why this is right; it goes into the audit chain.")
@with_edge
def model_approve(edge: Edge, model: str, reason: str) -> None:
    """Allow a version that the gate refused."""
    found = edge.call("model.approve", model=model, reason=reason)
    edge.done(found, f"{found['model']}:{found['version']} is approved. Next: falaj deploy {model}")


@model.command("rm")
@click.argument("model", metavar="MODEL:VERSION")
@with_edge
def model_rm(edge: Edge, model: str) -> None:
    """Remove one version."""
    found = edge.call("model.rm", model=model)
    edge.done(found, f"Removed {found['model']}:{found['version']}.")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{path} can't be written: {error.strerror}.", "Choose another place.") from error


COMMANDS = [train, model]
