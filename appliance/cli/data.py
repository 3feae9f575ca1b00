"""Commands on datasets."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from appliance.cli.edge import Edge, plural, table, with_edge
from appliance.errors import BadInput


@click.group()
def dataset() -> None:
    """Tables that models learn from."""


def _read_types(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    types = {}
    for one in given:
        column, equals, kind = one.rpartition("=")
        if not equals or not column:
            raise click.BadParameter(f"write it as COLUMN=KIND, not {one!r}")
        types[column] = kind
    return types


@dataset.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--format",
    type=click.Choice(["csv", "parquet", "xlsx", "jsonl"]),
    help="What the file is, if its name does not say.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    callback=_read_types,
    metavar="COLUMN=KIND",
    help="Say what a column is: number, integer, boolean, categorical, datetime, text.",
)
@click.option("--separator", metavar="SIGN", help="What stands between two values of a CSV, e.g. ; or tab.")
@click.option("--encoding", metavar="NAME", help="How letters are stored, e.g. utf-8 or windows-1256.")
@click.option("--decimal", metavar="SIGN", help="The decimal mark, a point or a comma.")
@click.option("--thousands", metavar="SIGN", help="The mark between thousands.")
@click.option("--dates", type=click.Choice(["day-first", "month-first"]), help="How to read 3/4/2026.")
@click.option("--missing", multiple=True, metavar="WORD", help="Another word that means 'no value'.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="Leave a column out.")
@click.option(
    "--confirm-personal",
    multiple=True,
    metavar="COLUMN",
    help="Keep a column with personal data; '*' means all.",
)
@click.option("--sheet", metavar="NAME", help="Which sheet of a workbook; else the first.")
@click.option("--detach", is_flag=True, help="Do not wait; print the job's id.")
@with_edge
def dataset_add(
    edge: Edge, name: str, file: Path, types: dict[str, str], detach: bool, **options: Any
) -> None:
    """Import FILE (CSV, XLSX, Parquet, JSON Lines) as the dataset NAME.

    A dataset of that name gets a new version. Options that name a column or a word may be repeated.
    """
    given = {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items() if value
    }
    if types:
        given["types"] = types
    with _opened(file) as stream:
        started = edge.call("dataset.add", name=name, filename=file.name, options=given, file=stream)
    made = edge.finish(started, detach)
    if made is None:
        return
    notes = "".join(f"\n  - {note}" for note in made["notes"])
    name = f"{made['dataset']}:{made['version']}"
    told = f"{name}  {plural(made['rows'], 'row')}, {plural(made['columns'], 'column')}"
    if made.get("unchanged"):
        told += "\nNothing new: this version has the same content, so no other was made."
    told += f"\nWhat was assumed:{notes}" if notes else ""
    edge.done(made, f"{told}\nNext: falaj train MODEL --dataset {made['dataset']} --target COLUMN")


def _opened(file: Path) -> IO[bytes]:
    try:
        if file.is_dir():
            raise BadInput(f"{file} is a folder.", "Name one file.")
        return open(file, "rb")
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {file}.", "Check the path.") from error
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}.", "Check its permissions.") from error


@dataset.command("ls")
@with_edge
def dataset_ls(edge: Edge) -> None:
    """List all datasets."""
    rows = edge.call("dataset.ls")
    columns = {
        "dataset": "dataset",
        "version": "version",
        "rows": "rows",
        "columns": "columns",
        "source": "from",
        "created_at": "added",
    }
    edge.done(rows, table(rows, columns, "No datasets yet. Add one with: falaj dataset add NAME FILE"))


@dataset.command("show")
@click.argument("dataset", metavar="DATASET[:VERSION]")
@with_edge
def dataset_show(edge: Edge, dataset: str) -> None:
    """Show the columns of a dataset and what the import assumed."""
    found = edge.call("dataset.show", dataset=dataset)
    columns = {"name": "column", "kind": "kind", "format": "format", "personal": "personal data"}
    notes = "".join(f"\n- {note}" for note in found["notes"])
    name = f"{found['dataset']}:{found['version']}"
    head = f"{name}  {plural(found['rows'], 'row')}, from {found['source']}\n\n"
    edge.done(found, head + table(found["schema"], columns, "No columns.") + ("\n" + notes if notes else ""))


@dataset.command("profile")
@click.argument("dataset", metavar="DATASET[:VERSION]")
@with_edge
def dataset_profile(edge: Edge, dataset: str) -> None:
    """Show what is in each column."""
    found = edge.call("dataset.profile", dataset=dataset)
    rows = [_shown(column) for column in found["profile"]["columns"]]
    columns = {
        "name": "column",
        "kind": "kind",
        "missing": "missing",
        "distinct": "distinct",
        "min": "min",
        "mean": "mean",
        "max": "max",
        "common": "most common",
    }
    edge.done(found, table(rows, columns, "No columns."))


@dataset.command("rm")
@click.argument("dataset", metavar="DATASET:VERSION")
@with_edge
def dataset_rm(edge: Edge, dataset: str) -> None:
    """Remove one version of a dataset."""
    found = edge.call("dataset.rm", dataset=dataset)
    edge.done(found, f"Removed {found['dataset']}:{found['version']}.")


def _shown(column: dict[str, Any]) -> dict[str, Any]:
    """A column's profile for the table: its commonest values, and dates without a time of 0:00."""
    ends = {key: _date(column[key]) for key in ("min", "max") if key in column}
    return column | ends | {"common": ", ".join(str(value) for value, _ in (column.get("top") or [])[:3])}


def _date(value: Any) -> Any:
    return value.removesuffix("T00:00:00") if isinstance(value, str) else value


COMMANDS = [dataset]
