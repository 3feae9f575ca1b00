"""One column's values as numbers, one at a time and many at once. Standard library and numpy only.

Each kind has one `Encoder`: `one(value)` for a single row in a tight loop, `many(values)` for a
column. Both accept the same values, refuse the same values with BrokenRow, and give the same
float32; a property test holds them together. NaN is "missing" everywhere.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.data import dates
from appliance.errors import BrokenRow

_SHOWN = 60  # characters of a bad value that a message repeats
_DATES_KEPT = 100_000  # different dates that one column remembers while it is encoded
LARGEST = float(np.finfo(np.float32).max)
NAN = float("nan")

Floats = NDArray[np.float32]
Values = Sequence[Any] | NDArray[Any]


class Encoder(Protocol):
    width: int

    def one(self, value: Any) -> Any:
        """A number, or a tuple of `width` numbers where `width` is not 1."""

    def many(self, values: Values) -> Floats:
        """float32[n], or float32[n, width] where `width` is not 1."""


def refuse(column: str, wanted: str, value: Any, row: int | None = None) -> NoReturn:
    """Raise BrokenRow in the one shape that every bad value is reported in."""
    shown = reprlib.repr(value)  # never more than a few levels and letters of what somebody sent
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
    place = "" if row is None else f" in row {row + 1}"
    raise BrokenRow(
        f"The column '{column}' must be {wanted}. Got {shown}{place} instead.",
        "Correct the value, or leave it out where it is not known.",
        column=column,
    )


def plain(value: Any) -> Any:
    """The Python value of a numpy scalar; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


class NumberEncoder:
    """A finite number; with `whole`, one without a fraction. Words and true/false are refused."""

    width = 1

    def __init__(self, column: str, whole: bool) -> None:
        self.column = column
        self.whole = whole
        self.wanted = "a whole number" if whole else "a number"

    def one(self, value: Any) -> Any:
        kind = type(value)
        if kind is int or (kind is float and not self.whole):
            if -LARGEST <= value <= LARGEST:
                return value
        elif value is None:
            return NAN
        return self._careful(value, None)

    def _careful(self, value: Any, row: int | None) -> float:
        value = plain(value)
        if is_missing(value):
            return NAN
        if type(value) is not int and type(value) is not float:
            refuse(self.column, self.wanted, value, row)
        if not -LARGEST <= value <= LARGEST:
            refuse(self.column, "a finite number (of at most 38 digits)", value, row)
        if self.whole and value != int(value):
            refuse(self.column, self.wanted, value, row)
        return float(value)

    def many(self, values: Values) -> Floats:
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
            numbers = values.astype(np.float64)
        elif set(map(type, values)) <= {int, float}:
            try:
                numbers = np.array(values, dtype=np.float64)
            except OverflowError:
                return self._each(values)
        else:
            return self._each(values)
        known = ~np.isnan(numbers)
        fine = np.abs(numbers) <= LARGEST
        if self.whole:
            fine &= numbers == np.floor(numbers)
        if not (fine | ~known).all():
            return self._each(values)
        return numbers.astype(np.float32)

    def _each(self, values: Values) -> Floats:
        numbers = [self._careful(value, row) for row, value in enumerate(values)]
        return np.array(numbers, dtype=np.float64).astype(np.float32)


class BooleanEncoder:
    """true or false, or 0 or 1."""

    width = 1

    def __init__(self, column: str) -> None:
        self.column = column

    def one(self, value: Any) -> Any:
        if value is True or value is False:
            return value
        return self._careful(value, None)

    def _careful(self, value: Any, row: int | None) -> float:
        value = plain(value)
        if is_missing(value):
            return NAN
        if isinstance(value, bool | int | float) and value in (0, 1):
            return float(value)
        refuse(self.column, "true or false", value, row)

    def many(self, values: Values) -> Floats:
        if isinstance(values, np.ndarray) and values.dtype.kind == "b":
            return values.astype(np.float32)
        if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and _truths(values):
            return values.astype(np.float32)
        if set(map(type, values)) == {bool}:
            return np.array(values, dtype=np.float32)
        return np.array([self._careful(value, row) for row, value in enumerate(values)], dtype=np.float32)


def _truths(values: NDArray[Any]) -> bool:
    return bool((np.isnan(values) | (values == 0) | (values == 1)).all())


class _Codes(dict[Any, float]):
    """Category -> code. What is not a key is looked at once more, with care, on a miss."""

    def __init__(self, column: str, categories: tuple[str, ...]) -> None:
        super().__init__((category, float(code)) for code, category in enumerate(categories))
        self.column = column
        self.unseen = float(len(categories))
        self[None] = NAN

    def __missing__(self, value: Any) -> float:
        if is_missing(value):
            return NAN
        for form in _forms(value):
            if form in self:
                return self[form]
        if isinstance(value, str | bool | int | float | np.generic):
            return self.unseen
        refuse(self.column, "a word or a code", value)


def _forms(value: Any) -> tuple[str, ...]:
    """The ways a category that is written as this value may have been written in the data."""
    if isinstance(value, str):
        return (value.strip(),)
    if isinstance(value, bool | np.bool_):
        return (str(value).lower(), str(value))
    if isinstance(value, int | np.integer):
        return (str(value), f"{value}.0")
    if isinstance(value, float | np.floating):
        written = str(value)
        return (written.removesuffix(".0"), written)
    return ()


class CategoryEncoder:
    """Code of a known category, the number of categories for one never seen, NaN for missing."""

    width = 1

    def __init__(self, column: str, categories: tuple[str, ...]) -> None:
        self.column = column
        self.codes = _Codes(column, categories)
        # Only words are keys: 1, 1.0 and True are equal to a dict but are written differently.
        self._look_up: Callable[[Any], float] = self.codes.__getitem__

    def one(self, value: Any) -> Any:
        try:
            return self._look_up(value)
        except TypeError:
            refuse(self.column, "a word or a code", value)

    def many(self, values: Values) -> Floats:
        try:
            return np.fromiter(map(self._look_up, values), dtype=np.float32, count=len(values))
        except (TypeError, BrokenRow):
            for row, value in enumerate(values):
                try:
                    self._look_up(value)
                except (TypeError, BrokenRow):
                    refuse(self.column, "a word or a code", value, row)
            raise


class DateEncoder:
    """Calendar parts of a date in the column's own format or in ISO 8601."""

    def __init__(self, column: str, format: str) -> None:
        self.column = column
        self.width = len(dates.part_names(format))
        self._read = dates.reader(format)
        self._missing = (NAN,) * self.width
        example = "2026-01-31" if self.width == len(dates.DATE_PARTS) else "2026-01-31T08:30"
        self._wanted = f"a date such as {example}" + (f" or in the form {format}" if format else "")

    def one(self, value: Any) -> Any:
        return self._parts(value, None)

    def _parts(self, value: Any, row: int | None) -> tuple[float, ...]:
        try:
            if isinstance(value, str):
                return dates.parts(self._read(value), self.width)
            value = plain(value)
            if isinstance(value, date):
                return dates.parts(dates.naive(value), self.width)
        except (ValueError, OverflowError):
            refuse(self.column, self._wanted, value, row)
        if is_missing(value):
            return self._missing
        refuse(self.column, self._wanted, value, row)

    def many(self, values: Values) -> Floats:
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return dates.parts_of_array(values, self.width)
        seen: dict[str, tuple[float, ...]] = {}
        out = np.empty((len(values), self.width), dtype=np.float32)
        for row, value in enumerate(values):
            found = seen.get(value) if type(value) is str else None
            if found is None:
                found = self._parts(value, row)
                if type(value) is str and len(seen) < _DATES_KEPT:
                    seen[value] = found
            out[row] = found
        return out


def as_sequence(values: Any) -> Values:
    """A column as something with a length and Python values: numpy text and object arrays become lists."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            values = values.reshape(len(values)) if values.size == len(values) else values
        return values if values.dtype.kind in "biufM" else list(values.tolist())
    if isinstance(values, str | bytes | Mapping):
        raise TypeError("a column is a sequence of values")
    return values if isinstance(values, list | tuple) else list(values)
