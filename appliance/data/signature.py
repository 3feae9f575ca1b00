"""The typed input schema of a model, and the only place that turns rows into numbers.

The same object encodes in training and in serving, so there is no skew between them. Imports numpy
and the standard library only (the inference process loads this). Rows, columns and frames give
bit-identical float32: missing is NaN, a category is its code 0..K-1 in the order of `categories`,
K is one never seen (or rare), true is 1, a date is its calendar parts ("col.month").
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from operator import itemgetter
from typing import Any, NoReturn

import numpy as np

from appliance.data import dates
from appliance.data.encoders import (
    LARGEST,
    BooleanEncoder,
    CategoryEncoder,
    DateEncoder,
    Encoder,
    Floats,
    NumberEncoder,
    Values,
    as_sequence,
)
from appliance.data.types import Kind, kind_of
from appliance.errors import BadInput, BrokenRow

_ALL_NUMBERS = frozenset({int, float})
_WHOLE_NUMBERS = frozenset({int})


@dataclass(frozen=True)
class Feature:
    """One encoded dimension. `cardinality` is K for a category (codes 0..K), 0 for all else."""

    name: str
    column: str
    kind: Kind
    cardinality: int = 0


@dataclass(frozen=True)
class Column:
    """One input. `categories` in code order; `format` of dates, "" for ISO 8601."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    format: str = ""

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        if self.kind is Kind.DATETIME:
            parts = dates.part_names(self.format)
            return tuple(Feature(f"{self.name}.{part}", self.name, self.kind) for part in parts)
        return (Feature(self.name, self.name, self.kind, len(self.categories)),)

    def encoder(self) -> Encoder:
        match self.kind:
            case Kind.NUMBER | Kind.INTEGER:
                return NumberEncoder(self.name, whole=self.kind is Kind.INTEGER)
            case Kind.BOOLEAN:
                return BooleanEncoder(self.name)
            case Kind.CATEGORICAL:
                return CategoryEncoder(self.name, self.categories)
            case Kind.DATETIME:
                return DateEncoder(self.name, self.format)
            case Kind.TEXT:
                raise BadInput(
                    f"The column '{self.name}' is free text, which models do not read yet.",
                    f"Leave it out (--drop '{self.name}') or use --type '{self.name}=categorical' at import.",
                    column=self.name,
                )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind.value,
            "categories": list(self.categories),
            "format": self.format,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Column:
        categories = tuple(str(category) for category in body.get("categories", ()))
        return cls(str(body["name"]), kind_of(str(body["kind"])), categories, str(body.get("format", "")))


@dataclass(frozen=True)
class Signature:
    """What a model reads (`columns`, in order) and what it says (`target`, `task`, `labels`).

    `ignored` are columns of the training table that tell the model nothing (identifiers, constants): a
    caller may send whole rows with them, while a misspelt name is still refused.
    """

    columns: tuple[Column, ...]
    target: str
    task: str
    labels: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        return tuple(feature for column in self.columns for feature in column.features)

    @cached_property
    def width(self) -> int:
        return len(self.features)

    @cached_property
    def _plan(self) -> _Plan:
        return _Plan(self)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        """float32[n, width], C-contiguous, of rows as parsed from JSON.

        None, NaN and an absent key are missing. Raises BrokenRow naming the column for a value of
        the wrong type and for a key that is no column of this signature.
        """
        if len(rows) == 1:
            return self._plan.one(rows[0])
        return self._plan.many(rows)

    def encode_columns(self, columns: Mapping[str, Values]) -> Floats:
        """The same, from one sequence or one-dimensional array a column. An absent column is missing."""
        return self._plan.columns(columns)

    def as_json(self) -> dict[str, Any]:
        return {
            "columns": [column.as_json() for column in self.columns],
            "target": self.target,
            "task": self.task,
            "labels": list(self.labels),
            "ignored": list(self.ignored),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Signature:
        columns = tuple(Column.from_json(column) for column in body["columns"])
        labels, ignored = (tuple(map(str, body.get(name, ()))) for name in ("labels", "ignored"))
        return cls(columns, str(body["target"]), str(body["task"]), labels, ignored)


class _Plan:
    """What a signature works out once so that encoding a row costs a few microseconds."""

    def __init__(self, signature: Signature) -> None:
        columns = signature.columns
        self.names = tuple(column.name for column in columns)
        if not columns or len(set(self.names)) != len(self.names):
            raise BadInput(
                "A model needs at least one column, and no column twice.", "Check the list of columns."
            )
        self.known = frozenset(self.names)
        self.accepted = self.known.union(signature.ignored)
        self.target = signature.target
        self.width = signature.width
        self.encoders = tuple(column.encoder() for column in columns)
        self.one_by_one = tuple(encoder.one for encoder in self.encoders)
        self.spread = any(column.kind is Kind.DATETIME for column in columns)
        self.numeric = all(column.kind in (Kind.NUMBER, Kind.INTEGER) for column in columns)
        whole = [index for index, column in enumerate(columns) if column.kind is Kind.INTEGER]
        self.values_of = _getter(self.names)
        self.whole_of = _getter(whole) if whole else None

    def one(self, row: Mapping[str, Any]) -> Floats:
        try:
            if len(row) != len(self.names) and not self.accepted.issuperset(row):
                raise KeyError
            values = self.values_of(row)
        except (KeyError, TypeError):
            values = self._values(row, None)
        # All plain finite numbers: no Python code runs per column. The sum of sizes proves at once
        # that none is NaN, infinite or beyond float32.
        if (
            self.numeric
            and _ALL_NUMBERS.issuperset(map(type, values))
            and (self.whole_of is None or _WHOLE_NUMBERS.issuperset(map(type, self.whole_of(values))))
        ):
            try:
                if sum(map(abs, values)) <= LARGEST:
                    return np.array(values, np.float32)[None]
            except OverflowError:
                pass
        if not self.spread:
            numbers = [encode(value) for encode, value in zip(self.one_by_one, values, strict=True)]
            return np.array(numbers, np.float32)[None]
        flat: list[float] = []
        for encode, value in zip(self.one_by_one, values, strict=True):
            number = encode(value)
            if type(number) is tuple:
                flat += number
            else:
                flat.append(number)
        return np.array(flat, np.float32)[None]

    def many(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        out = np.empty((len(rows), self.width), dtype=np.float32)
        if not len(rows):
            return out
        count = len(self.names)
        try:
            if any(len(row) != count and not self.accepted.issuperset(row) for row in rows):
                raise KeyError
            table = list(map(self.values_of, rows))
        except (KeyError, TypeError):
            table = [self._values(row, index) for index, row in enumerate(rows)]
        return self._fill(out, list(zip(*table, strict=True)))

    def columns(self, columns: Mapping[str, Values]) -> Floats:
        for name in columns:
            if name not in self.accepted:
                self._refuse_unknown(name, None)
        given = {name: as_sequence(values) for name, values in columns.items()}
        lengths = {len(values) for values in given.values()}
        if len(lengths) > 1:
            raise BrokenRow("The columns differ in length.", "Send one value a row in each column.")
        count = lengths.pop() if lengths else 0
        absent = (None,) * count
        out = np.empty((count, self.width), dtype=np.float32)
        return self._fill(out, [given.get(name, absent) for name in self.names])

    def _fill(self, out: Floats, columns: Sequence[Values]) -> Floats:
        at = 0
        for encoder, values in zip(self.encoders, columns, strict=True):
            encoded = encoder.many(values)
            if encoder.width == 1 and encoded.ndim == 1:
                out[:, at] = encoded
            else:
                out[:, at : at + encoder.width] = encoded
            at += encoder.width
        return out

    def _values(self, row: Any, index: int | None) -> tuple[Any, ...]:
        """The row's values in column order, None where absent; refuses what is no row of ours."""
        if not isinstance(row, Mapping):
            place = "" if index is None else f" (row {index + 1})"
            raise BrokenRow(
                f"A row must be a set of named values{place}. Got {type(row).__name__} instead.",
                'Send each row as an object: {"column": value, ...}.',
            )
        for name in row:
            if name not in self.accepted:
                self._refuse_unknown(name, index)
        return tuple(map(row.get, self.names, repeat(None)))

    def _refuse_unknown(self, name: Any, index: int | None) -> NoReturn:
        place = "" if index is None else f" (in row {index + 1})"
        if name == self.target:
            hint = "It is what the model predicts: leave it out."
        else:
            near = difflib.get_close_matches(str(name), self.names, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else "Leave it out: this model does not read it."
        raise BrokenRow(f"The model has no column '{name}'{place}.", hint, column=str(name))


def _getter(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that takes these items out of a row, as a tuple also when there is one."""
    get: Any = itemgetter
    if len(keys) == 1:
        single = get(keys[0])
        return lambda row: (single(row),)
    many: Callable[[Any], tuple[Any, ...]] = get(*keys)
    return many
