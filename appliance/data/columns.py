"""One column on its way from a file to a snapshot: text to be judged, or values that have a type.

Both kinds of reader are fed twice: `update` in the first reading, `store` in the second, with
`decide` in between. A typed column never loses a value either: infinities are refused.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import polars as pl

from appliance.data import casts
from appliance.data.infer import SAMPLE, Example, Guess
from appliance.data.options import ImportOptions
from appliance.data.pieces import Place
from appliance.data.profile import Range
from appliance.data.types import DatasetColumn, Kind
from appliance.errors import BadInput, Corrupted

_TEXTUAL = (pl.String, pl.Categorical, pl.Enum, pl.Null)
_MIDNIGHT = 24 * 3600 * 1_000_000
_LARGEST_INTEGER = 2**63 - 1


class ColumnReader(Protocol):
    name: str

    def update(self, series: pl.Series, place: Place) -> None:
        """Gather evidence from one piece; `place(row)` says where a row stands in the file."""

    def decide(self) -> tuple[DatasetColumn, list[str]]:
        """What the column is, and what to tell its owner. Raises BadInput where only they know."""

    def sample(self) -> list[str]:
        """Some of its values as text."""

    def span(self, column: DatasetColumn) -> Range:
        """Smallest and largest number (dates in microseconds since 1970), if there are any."""

    def store(self, series: pl.Series, column: DatasetColumn) -> tuple[pl.Series, Counter[str]]:
        """One piece in the column's stored type, and the words that were taken as missing."""


def reader_of(series: pl.Series, typed: bool, options: ImportOptions) -> ColumnReader:
    """The reader for a column that begins like this. Raises BadInput for a type that is no table value.

    `typed`: the file gives its columns types, so its text is text on purpose.
    """
    dtype, name = series.dtype, series.name
    if dtype in _TEXTUAL:
        return TextColumn(name, options, words=typed)
    if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Date, pl.Datetime)):
        raise BadInput(
            f"The column '{name}' holds {str(dtype).split('(')[0].lower()} values, which can't be used.",
            f"Leave it out: --drop '{name}'.",
            column=name,
        )
    said = options.types.get(name)
    if said is not None and said is not _native_kind(dtype):
        return TextColumn(name, options, words=False)
    return TypedColumn(name, dtype, whole_floats=not typed and said is not Kind.NUMBER)


def _native_kind(dtype: pl.DataType) -> Kind:
    if dtype == pl.Boolean:
        return Kind.BOOLEAN
    if dtype.is_temporal():
        return Kind.DATETIME
    return Kind.INTEGER if dtype.is_integer() else Kind.NUMBER


class TextColumn:
    def __init__(self, name: str, options: ImportOptions, words: bool) -> None:
        self.name, self._options = name, options
        self._guess = Guess(name, options, words=words)

    def update(self, series: pl.Series, place: Place) -> None:
        self._guess.update(_as_text(series), place)

    def decide(self) -> tuple[DatasetColumn, list[str]]:
        return self._guess.decide()

    def sample(self) -> list[str]:
        return self._guess.sample

    def span(self, column: DatasetColumn) -> Range:
        if column.kind is Kind.DATETIME:
            return self._guess.date_spans.get(column.format)
        low, high = self._guess.low, self._guess.high
        return None if low is None or high is None else (low, high)

    def store(self, series: pl.Series, column: DatasetColumn) -> tuple[pl.Series, Counter[str]]:
        text, empty = _as_text(series), Counter[str]()
        if (
            column.kind in (Kind.NUMBER, Kind.INTEGER)
            and self._options.decimal == "."
            and not self._options.thousands
        ):
            plain = text.cast(pl.Float64 if column.kind is Kind.NUMBER else pl.Int64, strict=False)
            if plain.null_count() == text.null_count() and plain.is_finite().all():
                return plain, empty
        cleaned = casts.clean(text, self._options.missing)
        if cleaned.null_count() > text.null_count():
            gone = cleaned.is_null() & text.is_not_null() & (text != "")
            words = text.filter(gone).str.strip_chars().value_counts()
            empty.update(dict(words.iter_rows()))
        found = casts.stored(cleaned, column, self._options, self._guess.said is not None)
        if found.null_count() != cleaned.null_count():
            raise Corrupted("The file changed while it was read.", "Import it again.")
        return found, empty


def _as_text(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Boolean:
        return series.cast(pl.String)
    return series if series.dtype == pl.String else series.cast(pl.String)


class TypedColumn:
    """Numbers, truths or dates that the file itself has typed."""

    def __init__(self, name: str, dtype: pl.DataType, whole_floats: bool) -> None:
        self.name = name
        self._kind = _native_kind(dtype)
        self._floats = self._kind is Kind.NUMBER
        self._only_whole = self._floats and whole_floats
        self._only_dates = self._kind is Kind.DATETIME
        self._low: float | None = None
        self._high: float | None = None
        self._known = 0
        self._too_long = False
        self._sample: list[str] = []

    def update(self, series: pl.Series, place: Place) -> None:
        if series.dtype in _TEXTUAL and series.null_count() == len(series):
            return
        if len(self._sample) < SAMPLE:
            self._sample += series.head(SAMPLE // 10).drop_nulls().cast(pl.String).to_list()
        values = self._physical(series)
        known = values.drop_nulls()
        self._known += len(known)
        if not len(known) or self._kind is Kind.BOOLEAN:
            return
        if self._floats and not known.is_finite().all():
            row = int((~values.is_finite()).fill_null(False).arg_true()[0])
            bad = Example(str(series[row]), place(row))
            raise BadInput(
                f"The column '{self.name}' has a value that is not finite: {bad.value} in {bad.place}.",
                "Correct the file, or leave the value empty where it is not known.",
                column=self.name,
            )
        self._only_whole = self._only_whole and bool((known == known.floor()).all())
        self._only_dates = self._only_dates and bool((known % _MIDNIGHT == 0).all())
        low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
        self._too_long = self._too_long or high > _LARGEST_INTEGER or low < -_LARGEST_INTEGER
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)

    def _physical(self, series: pl.Series) -> pl.Series:
        """Float64 without NaN, Boolean, or microseconds since 1970 (UTC where there is a zone)."""
        if self._kind is Kind.DATETIME:
            return _in_utc(series).to_physical()
        if self._floats:
            return series.cast(pl.Float64).fill_nan(None)
        return series

    def decide(self) -> tuple[DatasetColumn, list[str]]:
        notes = [] if self._known else [f"'{self.name}' has no values at all."]
        kind, format = self._kind, ""
        if self._known and self._only_whole and not self._too_long:
            kind = Kind.INTEGER
        elif kind is Kind.INTEGER and self._too_long:
            kind = Kind.NUMBER
            notes.append(f"'{self.name}' has whole numbers too long to keep exactly; they are rounded.")
        if kind is Kind.DATETIME and self._only_dates:
            format = casts.ISO_DATE
        return DatasetColumn(self.name, kind, format), notes

    def sample(self) -> list[str]:
        return self._sample

    def span(self, column: DatasetColumn) -> Range:
        return None if self._low is None or self._high is None else (self._low, self._high)

    def store(self, series: pl.Series, column: DatasetColumn) -> tuple[pl.Series, Counter[str]]:
        match column.kind:
            case Kind.DATETIME:
                stored = _in_utc(series)
            case Kind.INTEGER:
                stored = (series.fill_nan(None) if self._floats else series).cast(pl.Int64)
            case Kind.NUMBER:
                stored = series.cast(pl.Float64).fill_nan(None)
            case _:
                stored = series.cast(pl.Boolean)
        return stored, Counter()


def _in_utc(series: pl.Series) -> pl.Series:
    zone = getattr(series.dtype, "time_zone", None)
    if zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.cast(pl.Datetime("us"))
