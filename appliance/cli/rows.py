"""Predictions for a whole file: rows are read as an import would read them, and asked in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from appliance.cli.edge import Edge
from appliance.data.options import ImportOptions
from appliance.data.signature import Signature
from appliance.data.snapshot import import_table, read_chunks
from appliance.errors import BadInput

_BATCH = 2000


def ask_for_file(edge: Edge, model: str, file: Path) -> dict[str, Any]:
    """Ask the deployed model for every row of a CSV, Parquet, XLSX or JSON Lines file, in order.

    Columns that the model doesn't read are left out; a column that it reads must be there.
    """
    live = edge.call("deployment.show", model=model)["live"]
    reference = model if live is None else f"{model}:{live['version']}"
    signature = Signature.from_json(edge.call("model.show", model=reference)["signature"])
    answer: dict[str, Any] = {"predictions": []}
    for rows in _batches(file, signature):
        part = edge.call("predict", model=model, rows=rows)
        answer = part | {"predictions": answer["predictions"] + part["predictions"]}
    return answer


def _batches(file: Path, signature: Signature) -> Iterator[list[dict[str, Any]]]:
    kinds = {column.name: column.kind for column in signature.columns}
    options = ImportOptions(types=kinds, confirm_personal=("*",))
    chunks: list[bytes] = []
    try:
        with open(file, "rb") as source:
            import_table(source, file.name, options, chunks.append, lambda share, phase: None)
    except OSError as error:
        raise BadInput(f"{file} can't be read: {error.strerror}.", "Check the path.") from error
    for frame in read_chunks(chunks, list(kinds)):
        plain = frame.with_columns(
            pl.col(pl.Datetime).dt.to_string("iso:strict"), pl.col(pl.Float64).fill_nan(None)
        )
        for part in plain.iter_slices(_BATCH):
            yield part.to_dicts()
