"""Which columns a model reads: the signature of a table, from the rows it is trained on.

Columns that only tell the rows apart or say nothing are left out with a note; free text is refused.
Categories come from the training rows alone, so what only the hold-out has is "never seen" there too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from appliance.data.counting import DistinctCount, FrequentValues
from appliance.data.encoders import Floats
from appliance.data.signature import Column, Signature
from appliance.data.types import DatasetColumn, Kind
from appliance.errors import BadInput, BrokenRow

CATEGORIES = 255
_FEW_ROWS = 20  # with fewer, every value may well be different by chance
_NEARLY_ALL = 0.95
_INDEX_FROM = 20  # a running number may lose its first rows to the hold-out
_LIKE_ID = re.compile(r"(^|[\W_])(id|key|uuid|guid|udi|index|row|رقم)$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z](ID|Id)$")


class _Evidence:
    """What the training rows say about one column."""

    def __init__(self, column: DatasetColumn) -> None:
        self.column = column
        self.known = self.missing = 0
        self._words = FrequentValues() if column.kind is Kind.CATEGORICAL else None
        self._distinct = self._words.distinct if self._words else DistinctCount()
        self._low: Any = None
        self._high: Any = None

    def add(self, series: pl.Series) -> None:
        known = series.drop_nulls()
        self.known += len(known)
        self.missing += len(series) - len(known)
        if self._words is not None:
            self._words.add(known)
            return
        self._distinct.add(known)
        if self.column.kind is Kind.INTEGER and len(known):
            low, high = known.min(), known.max()
            self._low = low if self._low is None else min(self._low, low)
            self._high = high if self._high is None else max(self._high, high)

    def why_left_out(self) -> str:
        """A reason to leave the column out, or ""."""
        distinct = self._distinct.count()
        if self.known == 0:
            return "it has no values"
        if distinct == 1 and not self.missing:
            return "it has the same value everywhere"
        if self.known < _FEW_ROWS:
            return ""
        every = distinct >= (self.known if self._distinct.exact else _NEARLY_ALL * self.known)
        if self.column.kind is Kind.CATEGORICAL and distinct >= _NEARLY_ALL * self.known:
            return "nearly every row has a value of its own, so it only tells the rows apart"
        if self.column.kind is Kind.INTEGER and every and not self.missing:
            if self._low in range(_INDEX_FROM + 1) and self._high - self._low < 2 * self.known:
                return "it numbers the rows"
            if _LIKE_ID.search(self.column.name) or _CAMEL_ID.search(self.column.name):
                return "its name and values are those of a row's identifier"
        return ""

    def as_column(self) -> tuple[Column, str]:
        """The signature's column, and a note or ""."""
        note = ""
        categories: tuple[str, ...] = ()
        if self._words is not None:
            categories = tuple(sorted(word for word, _ in self._words.top(CATEGORIES)))
            distinct = self._distinct.count()
            if distinct > CATEGORIES:
                about = "" if self._distinct.exact else "about "
                note = (
                    f"'{self.column.name}' has {about}{distinct} different values: the {CATEGORIES} most "
                    "frequent count each, the others together as one never seen."
                )
        return Column(self.column.name, self.column.kind, categories, self.column.format), note


def build_signature(
    columns: Sequence[DatasetColumn],
    frames: Iterable[pl.DataFrame],
    target: str,
    task: str,
    labels: Sequence[str],
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> tuple[Signature, list[str]]:
    """The signature for predicting `target`, and what was left out and why.

    `frames` are the training rows only, in their stored types; they are read once. Raises BadInput
    for an unknown target, dropped or kept column, for free text, and when no column is left. `keep` are
    columns to learn from although they look like identifiers.
    """
    known = [column.name for column in columns]
    for name in (target, *drop, *keep):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known[:20])}."
            raise BadInput(f"The dataset has no column '{name}'.", hint, column=name)
    wanted = [column for column in columns if column.name != target and column.name not in drop]
    for column in wanted:
        if column.kind is Kind.TEXT:
            raise BadInput(
                f"The column '{column.name}' is free text, which models do not read yet.",
                f"Leave it out with --drop '{column.name}', or import the file again with "
                f"--type '{column.name}=categorical'.",
                column=column.name,
            )
    evidence = [_Evidence(column) for column in wanted]
    for frame in frames:
        for item in evidence:
            item.add(frame[item.column.name])
    notes, kept, ignored = [], [], list(drop)
    for item in evidence:
        why = item.why_left_out()
        if why and item.column.name not in keep:
            notes.append(f"'{item.column.name}' is left out: {why}.")
            ignored.append(item.column.name)
            continue
        built, note = item.as_column()
        kept.append(built)
        notes += [note] if note else []
    if not kept:
        raise BadInput(
            f"No column is left to predict '{target}' from. {' '.join(notes)}",
            "Add columns that say something about it, or keep one of these with --keep COLUMN.",
        )
    return Signature(tuple(kept), target, str(task), tuple(labels), tuple(ignored)), notes


def encode_frame(signature: Signature, frame: pl.DataFrame) -> Floats:
    """float32[rows, width] of stored rows, by the signature's own encoding; other columns are ignored."""
    given: dict[str, Any] = {}
    for column in signature.columns:
        if column.name not in frame.columns:
            raise BrokenRow(
                f"The table has no column '{column.name}'.",
                "The model needs it: choose a table with the columns it was trained on.",
                column=column.name,
            )
        given[column.name] = _values(frame[column.name])
    return signature.encode_columns(given)


def _values(series: pl.Series) -> Any:
    if series.dtype == pl.Boolean and series.null_count():
        return series.cast(pl.Float64).to_numpy()
    if series.dtype.is_numeric() or series.dtype.is_temporal() or series.dtype == pl.Boolean:
        return series.to_numpy()
    return series.to_list()
