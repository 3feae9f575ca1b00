"""Datasets: the list, bringing in a table, and what is in one."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePath
from typing import Any, cast

from flask import Blueprint, g, request

from appliance.admin.rendering import _, act, ask, failed, go, page, site
from appliance.doors import access, uploads
from appliance.doors.uploads import Upload
from appliance.errors import BadInput, FalajError
from appliance.verbs import perform
from appliance.verbs.call import Call

blueprint = Blueprint("datasets", __name__)
CHARTS_A_PAGE = 24
_ONE = ("separator", "encoding", "decimal", "thousands", "dates", "sheet")
_LISTS = {"drop": "drop", "confirm_personal": "confirm_personal", "missing": "missing"}


@blueprint.get("/datasets")
@access.needs("dataset.ls")
def datasets() -> Any:
    return page("datasets.html", groups=_groups(), typed=request.args)


@blueprint.post("/datasets")
@access.needs("dataset.add", upload=True)
def add() -> Any:
    """Take a table in; on to its job. The file flows into the sealed store as it arrives."""
    upload = uploads.receive(request)
    typed = {name: upload.text(name) for name in upload.fields}
    try:
        if not upload.filename:
            raise BadInput(_("No file was chosen."), _("Choose a table: CSV, Excel, Parquet or JSON Lines."))
        args = {
            "name": typed.get("name", "").strip() or _name_of(upload.filename),
            "filename": upload.filename,
            "options": options(upload),
        }
        made = perform(site().app, Call("dataset.add", g.identity.caller, args, cast(Any, upload.file)))
    except FalajError as error:
        return failed("datasets.html", error, groups=_groups(), typed=typed)
    return go(f"/jobs/{made['job']}")


@blueprint.get("/datasets/<reference>")
@access.needs("dataset.show")
def dataset(reference: str) -> Any:
    """One version: what was assumed, and what is in each column."""
    found = ask("dataset.show", dataset=reference)
    columns = ask("dataset.profile", dataset=reference)["profile"]["columns"]
    schema = {column["name"]: column for column in found["schema"]}
    versions = ask("dataset.ls", dataset=found["dataset"])
    start = CHARTS_A_PAGE * max(0, request.args.get("part", 0, int))
    return page(
        "dataset.html",
        found=found,
        columns=columns,
        schema=schema,
        versions=versions,
        shown=columns[start : start + CHARTS_A_PAGE],
        part_no=start // CHARTS_A_PAGE,
        parts=-(-len(columns) // CHARTS_A_PAGE),
    )


@blueprint.post("/datasets/<reference>/remove")
@access.needs("dataset.rm")
def remove(reference: str) -> Any:
    told = _("%s was removed.") % reference
    return act("dataset.rm", told, "/datasets", f"/datasets/{reference}", dataset=reference)


def options(upload: Upload) -> dict[str, Any]:
    """The import's options from the form: what was left empty is worked out from the file."""
    made: dict[str, Any] = {name: upload.text(name) for name in _ONE if upload.text(name)}
    for name, key in _LISTS.items():
        words = [word.strip() for word in upload.text(name).replace("\n", ",").split(",") if word.strip()]
        if words:
            made[key] = words
    types = {}
    for line in upload.text("types").splitlines():
        column, equals, kind = line.rpartition("=")
        if line.strip() and not equals:
            raise BadInput(
                _("A kind must be written as COLUMN=KIND."), _("For example: postcode=categorical")
            )
        if equals:
            types[column.strip()] = kind.strip()
    return made | ({"types": types} if types else {})


def _groups() -> list[dict[str, Any]]:
    """The newest version of each dataset, with the number of its versions."""
    rows = ask("dataset.ls")
    grouped = [list(versions) for _name, versions in groupby(rows, key=lambda row: row["dataset"])]
    return [versions[-1] | {"versions": len(versions)} for versions in grouped]


def _name_of(filename: str) -> str:
    """A dataset's name from a file's: letters, digits and dashes of it."""
    stem = PurePath(filename.replace("\\", "/")).name.partition(".")[0].lower()
    words = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in stem).split()
    return "-".join(words)[:60] or "table"
