"""What a column can be. Standard library only: the inference process loads this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.errors import BadInput


class Kind(StrEnum):
    NUMBER = "number"  # any finite number, fractions allowed
    INTEGER = "integer"  # whole numbers that fit in 64 bits
    BOOLEAN = "boolean"  # true or false
    CATEGORICAL = "categorical"  # one of a limited set of words or codes
    DATETIME = "datetime"  # a date, with or without a time of day
    TEXT = "text"  # free text: every row says something else


@dataclass(frozen=True)
class DatasetColumn:
    """One column of an imported table.

    `format` is the date format the values were written in ("%d/%m/%Y"; "" for ISO 8601 and for
    every other kind). `personal` is "" or what was recognised ("e-mail", "phone", ...).
    """

    name: str
    kind: Kind
    format: str = ""
    personal: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind.value, "format": self.format, "personal": self.personal}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> DatasetColumn:
        name, kind = str(body["name"]), kind_of(str(body["kind"]))
        return cls(name, kind, str(body.get("format", "")), str(body.get("personal", "")))


def kind_of(word: str) -> Kind:
    """The Kind a user wrote. Raises BadInput naming the kinds there are."""
    try:
        return Kind(word.strip().lower())
    except ValueError:
        kinds = ", ".join(kind.value for kind in Kind)
        raise BadInput(f"There is no column kind '{word}'.", f"Use one of: {kinds}.") from None
