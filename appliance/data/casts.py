"""Text columns as numbers, dates and truths: vectorised, and null wherever a value does not fit.

Inference counts those nulls and the snapshot repeats the same calls, so what was counted is what is
stored. Nothing here turns a bad value into a missing one for good: that is refused before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from appliance.data.options import ImportOptions
from appliance.data.types import DatasetColumn, Kind

ISO_DATE = "%Y-%m-%d"
ISO_MOMENT = ""
TRUE_WORDS, FALSE_WORDS = ("true",), ("false",)
SAID_TRUE, SAID_FALSE = ("true", "1", "yes"), ("false", "0", "no")  # where the owner says: boolean

_ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?$"
_ISO_FORMS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_SHORT_YEAR = r"^[^-/.]+[-/.][^-/.]+[-/.]\d\d( |$)"  # "1.2.3" is no date
_FIRST_YEAR = 1000  # "24" in the place of a four-digit year is no year


@dataclass(frozen=True)
class DateForm:
    """One way to write a date; `order` says which of day and month comes first, "" if that is clear."""

    format: str
    order: str = ""


def date_forms() -> Iterator[DateForm]:
    """Every form that is looked for, the plainest first."""
    yield DateForm(ISO_DATE)
    yield DateForm(ISO_MOMENT)
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p"):
        for mark in "/-.":
            if mark != "-" or time:
                yield DateForm(f"%Y{mark}%m{mark}%d{time}")
            for year in "Yy":
                yield DateForm(f"%d{mark}%m{mark}%{year}{time}", "day-first")
                yield DateForm(f"%m{mark}%d{mark}%{year}{time}", "month-first")
        for month in "bB":
            for form in (f"%d %{month} %Y", f"%d-%{month}-%Y", f"%{month} %d, %Y", f"%d-%{month}-%y"):
                yield DateForm(form + time)


def clean(text: pl.Series, missing: tuple[str, ...]) -> pl.Series:
    """Without spaces around, and null for every word that stands for no value."""
    stripped = text.str.strip_chars()
    gone = stripped.is_in(["", *missing])
    return stripped if not gone.any() else stripped.set(gone, None)


def numbers(text: pl.Series, options: ImportOptions) -> pl.Series:
    """Float64; null where clean text is not a finite number in the notation of the options."""
    if options.thousands:
        mark, point = _escaped(options.thousands), _escaped(options.decimal)
        grouped = text.str.contains(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?$")
        plain = text.str.replace_all(options.thousands, "", literal=True)
        text = plain.zip_with(grouped.fill_null(False), text)
    if options.decimal == ",":
        text = text.set(text.str.contains(".", literal=True).fill_null(False), None)
        text = text.str.replace(",", ".", literal=True)
    found = text.cast(pl.Float64, strict=False)
    return found if found.is_finite().all() else found.set(~found.is_finite().fill_null(False), None)


def _escaped(mark: str) -> str:
    return "\\." if mark == "." else mark


def integers(text: pl.Series, options: ImportOptions) -> pl.Series:
    """Int64; null where clean text is not a whole number of 64 bits."""
    if options.thousands:
        found = numbers(text, options)
        whole = found.is_not_null() & ~text.str.contains(options.decimal, literal=True)
        plain = text.str.replace_all(options.thousands, "", literal=True)
        text = plain.set(~whole.fill_null(False), None)
    return text.cast(pl.Int64, strict=False)


def booleans(text: pl.Series, said: bool) -> pl.Series:
    """Boolean; null where the word is neither. `said`: the owner says that it is a boolean column."""
    low = text.str.to_lowercase()
    true, false = (SAID_TRUE, SAID_FALSE) if said else (TRUE_WORDS, FALSE_WORDS)
    is_true = low.is_in(list(true))
    return is_true.set(~(is_true | low.is_in(list(false))).fill_null(False), None)


def moments(text: pl.Series, format: str) -> pl.Series:
    """Datetime("us"), in UTC where the text has an offset; null where it is no date of this form."""
    if format == ISO_MOMENT:
        fits = text.str.contains(_ISO).fill_null(False)
        rest = text.set(~fits, None).str.replace(" ", "T", literal=True)
        found = pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
        for form in (*_ISO_FORMS, *_ISO_ZONED):
            if found.null_count() == rest.null_count():
                break
            parsed = rest.str.to_datetime(form, strict=False, time_unit="us")
            if form in _ISO_ZONED:
                parsed = parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            found = found.zip_with(found.is_not_null(), parsed)
        return found
    if "%y" in format:
        text = text.set(~text.str.contains(_SHORT_YEAR).fill_null(False), None)
    found = text.str.to_datetime(format, strict=False, time_unit="us")
    early = (found.dt.year() < _FIRST_YEAR).fill_null(False)
    return found.set(early, None) if early.any() else found


def stored(text: pl.Series, column: DatasetColumn, options: ImportOptions, said: bool) -> pl.Series:
    """Clean text as it is kept in a snapshot: the one dtype of the column's kind."""
    match column.kind:
        case Kind.NUMBER:
            return numbers(text, options)
        case Kind.INTEGER:
            return integers(text, options)
        case Kind.BOOLEAN:
            return booleans(text, said)
        case Kind.DATETIME:
            return moments(text, column.format)
        case Kind.CATEGORICAL | Kind.TEXT:
            return text
