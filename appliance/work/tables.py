"""A dataset as matrices: its chunks unsealed, its target as classes or numbers, its rows encoded.

Only a chunk at a time is held as a table; what stays is the encoded matrix (float32) and the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from appliance.data.features import build_signature, encode_frame
from appliance.data.signature import Signature
from appliance.data.snapshot import read_chunks
from appliance.data.splits import holdout
from appliance.data.types import DatasetColumn
from appliance.errors import Corrupted
from appliance.home import Home
from appliance.registry.datasets import Dataset
from appliance.training import tasks
from appliance.training.tasks import Finding


@dataclass(frozen=True)
class Table:
    """The rows of a dataset whose target is known.

    y: int64[n] class codes or float64[n]; held: bool[n], true where the trainer must not look;
    notes: what was left out and why.
    """

    home: Home
    dataset: Dataset
    finding: Finding
    y: NDArray[Any]
    held: NDArray[np.bool_]
    known: NDArray[np.bool_]
    notes: list[str]

    def frames(self) -> Iterator[tuple[pl.DataFrame, NDArray[np.bool_]]]:
        """Each chunk's rows with a known target, and which of them are held out."""
        row = kept = 0
        for frame in _frames(self.home, self.dataset):
            known = self.known[row : row + frame.height]
            part = frame.filter(pl.Series(known))
            yield part, self.held[kept : kept + part.height]
            row, kept = row + frame.height, kept + part.height

    def signature(self, target: str, drop: Sequence[str], keep: Sequence[str]) -> tuple[Signature, list[str]]:
        """What a model of this table reads, learnt from the training rows only; and notes."""
        columns = [DatasetColumn.from_json(column) for column in self.dataset.columns]
        training = (frame.filter(pl.Series(~held)) for frame, held in self.frames())
        task, labels = self.finding.task.value, self.finding.labels
        return build_signature(columns, training, target, task, labels, drop, keep)

    def encode(self, signature: Signature) -> NDArray[np.float32]:
        """float32[n, width] of all known rows."""
        x = np.empty((len(self.y), signature.width), np.float32)
        row = 0
        for frame, _ in self.frames():
            x[row : row + frame.height] = encode_frame(signature, frame)
            row += frame.height
        return x

    def encode_held(self, signature: Signature) -> NDArray[np.float32]:
        """float32[m, width] of the held-out rows, as another version's signature reads them."""
        parts = [encode_frame(signature, frame.filter(pl.Series(held))) for frame, held in self.frames()]
        return np.concatenate(parts)


def open_table(home: Home, dataset: Dataset, target: str, task: str, seed: int) -> Table:
    """Read the target, find the task, and set the hold-out aside. Raises BadInput."""
    column = DatasetColumn.from_json(next(one for one in dataset.columns if one["name"] == target))
    values = np.concatenate(
        [frame[target].to_numpy(allow_copy=True) for frame in _frames(home, dataset, [target])]
    )
    known = tasks.known(values)
    finding = tasks.find_task(values[known], column.kind.value, task)
    y = tasks.encode_target(values[known], finding)
    notes = [finding.reason]
    if missing := int((~known).sum()):
        notes.append(f"{missing} rows without a value in '{target}' were left out.")
    return Table(home, dataset, finding, y, holdout(y, finding.task.value, seed=seed), known, notes)


def _frames(home: Home, dataset: Dataset, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    key = home.keys.unwrap(dataset.data_key, f"dataset:{dataset.digest}")
    chunks = (home.blobs.get(chunk["digest"], key) for chunk in dataset.manifest)
    try:
        yield from read_chunks(chunks, columns)
    except Corrupted as error:
        raise Corrupted(f"The dataset {dataset.reference} is damaged. {error.message}", error.hint) from error
