"""Commands on deployments and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from appliance.cli.edge import Edge, plural, table, with_edge
from appliance.errors import BadInput

_SHOWN = 20


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--runtime",
    type=click.Choice(["onnxruntime", "openvino"]),
    help="Use this one, not the fastest measured.",
)
@with_edge
def deploy(edge: Edge, model: str, runtime: str | None) -> None:
    """Make a version of MODEL answer. Returns when every worker answers from it."""
    edge.done(*_told(edge.call("deploy", model=model, runtime=runtime)))


@click.command()
@click.argument("model")
@with_edge
def rollback(edge: Edge, model: str) -> None:
    """Go back to the version that answered before."""
    edge.done(*_told(edge.call("rollback", model=model)))


@click.command()
@click.argument("model")
@with_edge
def undeploy(edge: Edge, model: str) -> None:
    """Stop answering for MODEL."""
    edge.done(edge.call("undeploy", model=model), f"{model} no longer answers.")


def _told(made: dict[str, Any]) -> tuple[dict[str, Any], str]:
    name = f"{made['model']}:{made['version']}"
    lost = plural(made["dropped"], "request")
    dropped = f"{lost} DROPPED" if made["dropped"] else "no request was dropped"
    where = f"on {made['runtime']}, {plural(made['workers'], 'worker')}"
    return made, f"{name} answers, {where}; {dropped} ({made['seconds']:.2f} s)"


@click.group()
def deployment() -> None:
    """Which version answers, and its history."""


@deployment.command("ls")
@with_edge
def deployment_ls(edge: Edge) -> None:
    """List what answers now."""
    rows = edge.call("deployment.ls")
    columns = {
        "model": "model",
        "version": "version",
        "runtime": "runtime",
        "created_at": "since",
        "created_by": "by",
    }
    edge.done(rows, table(rows, columns, "Nothing answers yet. Deploy a model with: falaj deploy MODEL"))


@deployment.command("show")
@click.argument("model")
@with_edge
def deployment_show(edge: Edge, model: str) -> None:
    """Show what answers for MODEL and what did before."""
    found = edge.call("deployment.show", model=model)
    columns = {
        "deployment": "no.",
        "version": "version",
        "state": "state",
        "runtime": "runtime",
        "dropped": "dropped",
        "created_at": "begun",
        "created_by": "by",
    }
    told = table(found["history"], columns, f"{model} was never deployed. Do it with: falaj deploy {model}")
    for one in found["history"]:
        if one["error"]:
            told += f"\nNo. {one['deployment']} failed: {one['error']}"
    edge.done(found, told)


@click.command()
@click.argument("model")
@click.option("--row", "row", metavar="JSON", help="One row, e.g. '{\"age\": 41}'.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, readable=False),
    help="Many rows: CSV, XLSX, Parquet or JSON Lines.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, readable=False),
    help="Write the answers into this file (JSON Lines).",
)
@with_edge
def predict(edge: Edge, model: str, row: str | None, file: Path | None, out: Path | None) -> None:
    """Ask a deployed MODEL, for one row or for a file of them."""
    if (row is None) == (file is None):
        raise click.UsageError("Give either --row or --file.")
    if row is not None:
        answer = edge.call("predict", model=model, rows=[_parse(row, "--row")])
    else:
        from appliance.cli.rows import ask_for_file

        assert file is not None
        answer = ask_for_file(edge, model, file)
    if out is not None:
        try:
            out.write_text(
                "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in answer["predictions"])
            )
        except OSError as error:
            raise BadInput(f"{out} can't be written: {error.strerror}.", "Choose another place.") from error
    edge.done(answer, _answers(answer["predictions"], out))


def _answers(predictions: list[dict[str, Any]], out: Path | None) -> str:
    """The first answers, one a line; only how many there are when they went into a file."""
    if out is not None:
        return f"Wrote {plural(len(predictions), 'answer')} to {out}"
    shown = predictions[:_SHOWN]
    width = max((len(one["label"]) for one in shown if "label" in one), default=0)
    told = [_line(one, width) for one in shown]
    if len(predictions) > len(shown):
        told.append(f"... {len(predictions):,} in all; keep them with: --out answers.jsonl")
    return "\n".join(told)


def _line(one: dict[str, Any], width: int) -> str:
    if "value" in one:
        value = one["value"]
        return "no number" if value is None else f"{value:.6g}" if abs(value) < 1e5 else f"{value:,.1f}"
    chance = one["probability"]
    return f"{one['label']:<{width}}  (probability {'unknown' if chance is None else f'{chance:.3f}'})"


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where} is not JSON: {error.msg}.", "For example: --row '{\"age\": 41}'") from error


COMMANDS = [deploy, rollback, undeploy, deployment, predict]
