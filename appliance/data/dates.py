"""Dates as numbers: reading one date, and its calendar parts. Standard library and numpy only.

A moment with a UTC offset becomes UTC; one without is taken as written. Both the scalar and the
array road give the same parts: year, month, day, weekday (Monday 0), day of year and, unless the
format is of dates alone, hour and minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DATE_PARTS = ("year", "month", "day", "weekday", "day_of_year")
TIME_PARTS = ("hour", "minute")

_ORDER = ("%Y", "%m", "%d", "%H", "%M", "%S")
_DIGITS = {code: r"(\d{4})" if code == "%Y" else r"(\d\d?)" for code in _ORDER}


def part_names(format: str) -> tuple[str, ...]:
    """The calendar parts a column of this format gives; "" (ISO 8601) has a time of day."""
    return DATE_PARTS if format and "%H" not in format and "%I" not in format else DATE_PARTS + TIME_PARTS


def parts(moment: datetime, count: int) -> tuple[int, ...]:
    day = moment.timetuple()
    return (day.tm_year, day.tm_mon, day.tm_mday, day.tm_wday, day.tm_yday, day.tm_hour, day.tm_min)[:count]


def parts_of_array(moments: NDArray[np.datetime64], count: int) -> NDArray[np.float32]:
    """float32[n, count]; NaT gives NaN."""
    days = moments.astype("datetime64[D]")
    months = moments.astype("datetime64[M]")
    years = moments.astype("datetime64[Y]")
    minutes = (moments.astype("datetime64[m]") - days.astype("datetime64[m]")).astype(np.int64)
    columns = (
        years.astype(np.int64) + 1970,
        (months - years.astype("datetime64[M]")).astype(np.int64) + 1,
        (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        (days.astype(np.int64) + 3) % 7,
        (days - years.astype("datetime64[D]")).astype(np.int64) + 1,
        minutes // 60,
        minutes % 60,
    )
    out = np.empty((len(moments), count), dtype=np.float32)
    for index in range(count):
        out[:, index] = columns[index]
    out[np.isnat(moments)] = np.nan
    return out


def naive(moment: date) -> datetime:
    """In UTC when it carries an offset, as written when not; a plain date is its midnight."""
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@lru_cache(maxsize=256)
def reader(format: str) -> Callable[[str], datetime]:
    """A function that reads one date written in `format` or in ISO 8601; it raises ValueError."""
    own = _own_reader(format) if format else None

    def read(text: str) -> datetime:
        text = text.strip()
        if own is not None:
            try:
                return naive(own(text))
            except ValueError:
                pass
        try:
            return naive(datetime.fromisoformat(text))
        except OverflowError as error:
            raise ValueError("out of range") from error

    return read


def _own_reader(format: str) -> Callable[[str], datetime]:
    codes = re.findall("%.", format)
    if len(set(codes)) != len(codes) or not set(_ORDER[:3]) <= set(codes) <= set(_ORDER):
        return lambda text: datetime.strptime(text, format)
    pattern = "".join(_DIGITS.get(piece, re.escape(piece)) for piece in re.split("(%.)", format))
    match = re.compile(pattern, re.ASCII).fullmatch
    place = [codes.index(code) for code in _ORDER if code in codes]
    if [_ORDER[i] for i in range(len(place))] != [code for code in _ORDER if code in codes]:
        return lambda text: datetime.strptime(text, format)

    def read(text: str) -> datetime:
        found = match(text)
        if found is None:
            raise ValueError(text)
        groups = found.groups()
        return datetime(*[int(groups[index]) for index in place])  # type: ignore[arg-type]

    return read
