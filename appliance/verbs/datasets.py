"""Verbs on datasets."""

from __future__ import annotations

import shutil
from typing import IO, Any

from appliance.app import App
from appliance.blobs import BlobWriter, copy_sealed, is_full
from appliance.data.options import ImportOptions
from appliance.db import Row
from appliance.errors import BadInput, Conflict, NoSpace, TooLarge
from appliance.jobs import ledger
from appliance.registry import datasets, models
from appliance.registry.datasets import Dataset
from appliance.registry.names import check_name, parse_reference
from appliance.verbs.call import Call


def add(app: App, call: Call) -> Row:
    """Take a file in and start its import; `{"job"}`.

    The file is sealed into the home first: from the reply on, it is safe and the import will happen.
    """
    name = check_name(call.text("name"), "dataset")
    options = _read_options(call)
    if call.file is None:
        raise BadInput("No file came with the request.", "For example: falaj dataset add sales sales.csv")
    filename = call.text("filename")
    _check_space(app)
    key = app.home.keys.key("blobs")
    limit = app.home.config.data.max_file_mb << 20
    with app.home.blobs.writer(key) as writer:
        if not _copy(call.file, filename, writer, limit):
            raise TooLarge(
                f"The file is larger than {app.home.config.data.max_file_mb} MiB.",
                "Split it, or raise data.max_file_mb in falaj.toml.",
            )
    payload: dict[str, Any] = {
        "name": name,
        "filename": filename,
        "source": writer.blob.digest,
        "options": options.as_json(),
    }
    return {"job": app.start_job(app.new_job("ingest", name, payload), call.actor)}


def ls(app: App, call: Call) -> list[Row]:
    """All versions of all datasets, or of one."""
    return datasets.summaries(app.home.registry, call.optional("dataset"))


def show(app: App, call: Call) -> Row:
    """A dataset with its columns and what the import assumed."""
    dataset = _named(app, call)
    return dataset.summary() | {"schema": dataset.columns, "notes": dataset.notes, "options": dataset.options}


def profile(app: App, call: Call) -> Row:
    dataset = _named(app, call)
    return dataset.summary() | {"profile": dataset.profile}


def rm(app: App, call: Call) -> Row:
    """Remove one version of a dataset. Raises Conflict while a model was trained on it."""
    name, version = parse_reference(call.text("dataset"), "dataset")
    if version is None:
        raise BadInput("Say which version to remove.", f"For example: falaj dataset rm {name}:1")
    dataset = datasets.find(app.home.registry, name, version)
    with app.home.registry.write() as tx:
        used = models.runs_on(tx, dataset.name, dataset.version)
        if used:
            raise Conflict(
                f"A model was trained on {dataset.reference}, so it can't be removed.",
                "Remove the model's versions first: falaj model rm MODEL:VERSION",
            )
        for job in ledger.unfinished(tx):
            wanted = (job.payload.get("dataset"), job.payload.get("dataset_version"))
            if wanted == (dataset.name, dataset.version):
                raise Conflict(
                    f"A training of '{job.subject}' needs {dataset.reference}, so it can't be removed.",
                    f"Wait until it has ended, or stop it: falaj job cancel {job.id}",
                )
        blobs = datasets.remove(tx, dataset)
        tx.audit(call.actor, "dataset.remove", f"dataset:{dataset.reference}", {"digest": dataset.digest})
    for blob in blobs:
        app.home.blobs.remove(blob)
    return {"dataset": dataset.name, "version": dataset.version, "removed": True}


def _named(app: App, call: Call) -> Dataset:
    name, version = parse_reference(call.text("dataset"), "dataset")
    return datasets.find(app.home.registry, name, version)


def _read_options(call: Call) -> ImportOptions:
    """The options of an import; `missing` names words beyond the usual ones."""
    given = dict(call.mapping("options"))
    missing = given.pop("missing", [])
    return ImportOptions.from_json(given).also_missing(missing)


def _copy(file: IO[bytes], filename: str, writer: BlobWriter, limit: int) -> bool:
    try:
        return copy_sealed(file, writer, limit)
    except OSError as error:
        if is_full(error):
            raise
        raise BadInput(
            f"'{filename}' can't be read: {error.strerror or error}.",
            "Copy it elsewhere, then import the copy.",
        ) from error


def _check_space(app: App) -> None:
    free = shutil.disk_usage(app.home.path).free >> 20
    if free < app.home.config.data.min_free_mb:
        raise NoSpace(
            f"Only {free} MiB are free on the disk, so nothing is imported.",
            f"Free some space: an import needs at least {app.home.config.data.min_free_mb} MiB.",
        )
