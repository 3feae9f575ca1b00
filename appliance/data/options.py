"""How a file is to be read, as far as its owner has said so; everything else is worked out.

A plain frozen dataclass with a JSON form, so that a job row can carry it. An unknown key is refused
with the nearest known name.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from appliance.data.types import Kind, kind_of
from appliance.errors import BadInput

DEFAULT_MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "Null")
FORMATS = ("csv", "parquet", "xlsx", "jsonl")
DATE_ORDERS = ("", "day-first", "month-first")
SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
THOUSANDS = ("", ".", ",", " ", "'")


@dataclass(frozen=True)
class ImportOptions:
    """Empty or None means "work it out from the file".

    `missing` is the whole list of words that stand for no value (an empty field always does);
    `confirm_personal` holds columns, or "*" for all of them.
    """

    format: str | None = None
    types: Mapping[str, Kind] = field(default_factory=dict)
    separator: str | None = None
    encoding: str | None = None
    decimal: str = "."
    thousands: str = ""
    dates: str = ""
    missing: tuple[str, ...] = DEFAULT_MISSING
    drop: tuple[str, ...] = ()
    confirm_personal: tuple[str, ...] = ()
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.separator is not None:
            word = SEPARATORS.get(self.separator.lower(), self.separator)
            object.__setattr__(self, "separator", word)
            if len(word) != 1 or not word.isascii() or word in '"\r\n' or word.isalnum():
                _refuse("separator", "one character such as ';' or 'tab'", self.separator)
        if self.format is not None and self.format not in FORMATS:
            _refuse("format", "one of " + ", ".join(FORMATS), self.format)
        if self.decimal not in (".", ","):
            _refuse("decimal", "'.' or ','", self.decimal)
        if self.thousands not in THOUSANDS or self.thousands == self.decimal:
            _refuse("thousands", "'.', ',', a space or ', and not the decimal sign", self.thousands)
        if self.dates not in DATE_ORDERS:
            _refuse("dates", "day-first or month-first", self.dates)
        if self.encoding is not None:
            _check_encoding(self.encoding)

    def also_missing(self, words: Iterable[str]) -> ImportOptions:
        """The same, with these words standing for "no value" too."""
        more = (*self.missing, *(word for word in words if word not in self.missing))
        return ImportOptions(**{**self._fields(), "missing": more})

    def _fields(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def as_json(self) -> dict[str, Any]:
        body = self._fields()
        body["types"] = {name: kind.value for name, kind in self.types.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in body.items()}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ImportOptions:
        known = [item.name for item in fields(cls)]
        given: dict[str, Any] = {}
        for name, value in body.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}."
                raise BadInput(f"There is no import option '{name}'.", hint)
            given[name] = _parsed(name, value)
        return cls(**given)


def _parsed(name: str, value: Any) -> Any:
    match name:
        case "types":
            if not isinstance(value, Mapping):
                _refuse(name, "a set of column = kind", value)
            return {str(column): kind_of(str(kind)) for column, kind in value.items()}
        case "missing" | "drop" | "confirm_personal":
            if isinstance(value, str) or not isinstance(value, list | tuple):
                _refuse(name, "a list", value)
            return tuple(str(item) for item in value)
        case "decimal" | "thousands" | "dates":
            if not isinstance(value, str):
                _refuse(name, "text", value)
            return value
        case _:
            if value is not None and not isinstance(value, str):
                _refuse(name, "text", value)
            return value or None


def _check_encoding(name: str) -> None:
    try:
        info = codecs.lookup(name)
        text = info._is_text_encoding
    except (LookupError, AttributeError):
        text = False
    if not text:
        _refuse("encoding", "one such as utf-8, utf-16, windows-1256 or windows-1252", name)


def _refuse(name: str, wanted: str, got: Any) -> None:
    raise BadInput(f"The '{name}' of an import must be {wanted}. Got {got!r} instead.", "Correct it.")
