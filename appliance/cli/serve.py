"""Commands on deployments and predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from appliance.cli.edge import Edge, table, with_edge
from appliance.errors import BadInput


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--runtime", type=click.Choice(["onnxruntime", "openvino"]), help="Instead of the fastest one measured."
)
@with_edge
def deploy(edge: Edge, model: str, runtime: str | None) -> None:
    """Make a version of MODEL answer; returns when every worker answers from it."""
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
    dropped = "no request was dropped" if not made["dropped"] else f"{made['dropped']} requests were DROPPED"
    where = f"on {made['runtime']}, {made['workers']} workers"
    return made, f"{name} answers, {where}; {dropped} ({made['seconds']:.2f} s)"


@click.group()
def deployment() -> None:
    """Which version answers, and its history."""


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
    edge.done(
        found,
        table(found["history"], columns, f"{model} was never deployed. Do it with: falaj deploy {model}"),
    )


@click.command()
@click.argument("model")
@click.option("--row", "row", metavar="JSON", help="One row, e.g. '{\"age\": 41}'.")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Rows as JSON Lines or CSV.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write the answers of --file (JSON Lines)."
)
@with_edge
def predict(edge: Edge, model: str, row: str | None, file: Path | None, out: Path | None) -> None:
    """Ask a deployed MODEL."""
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
    told = [_line(one) for one in answer["predictions"][:20]]
    if len(answer["predictions"]) > len(told):
        told.append(f"... {len(answer['predictions']):,} in all")
    edge.done(answer, "\n".join(told))


def _line(one: dict[str, Any]) -> str:
    if "value" in one:
        return f"{one['value']:.6g}"
    return f"{one['label']}  (probability {one['probability']:.3f})"


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where} is not JSON: {error.msg}.", "For example: --row '{\"age\": 41}'") from error


COMMANDS = [deploy, rollback, undeploy, deployment, predict]
