"""Words that are not numbers: categories or free text, and numbers in another country's notation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from appliance.data.types import Kind

_NEARLY_ALL = 0.95
_TEXT_WORDS, _TEXT_DISTINCT = 4.0, 0.5
_LOOKS_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}([. ']\d{3})+),\d+$"
_LOOKS_THOUSANDS = r"^[+-]?\d{1,3}([, '])\d{3}([, ']\d{3})*(\.\d+)?$"
_LOOKS_NUMBER = r"^[+-]?\d+(\.\d+)?$"


@dataclass(frozen=True)
class Notation:
    """A way to write numbers that has to be asked for, and the option that asks for it."""

    shown: str
    option: str


_NOTATIONS = (
    (_LOOKS_DECIMAL_COMMA, Notation("numbers with a decimal comma", "--decimal ,")),
    (_LOOKS_THOUSANDS, Notation("numbers with a thousands sign", "--thousands ,")),
)


def kind_of(sample: Sequence[str]) -> Kind:
    """TEXT where most values are different and have several words, CATEGORICAL for all else."""
    values = pl.Series(sample, dtype=pl.String)
    spaces = values.str.count_matches(r"\s+").mean()
    wordy = isinstance(spaces, float) and spaces + 1 >= _TEXT_WORDS
    return Kind.TEXT if wordy and values.n_unique() > _TEXT_DISTINCT * len(values) else Kind.CATEGORICAL


def number_notation(sample: Sequence[str]) -> Notation | None:
    """The notation that these words look like numbers of, if they do."""
    values = pl.Series(sample, dtype=pl.String)
    plain = values.str.contains(_LOOKS_NUMBER)
    for looks, notation in _NOTATIONS:
        fits = values.str.contains(looks)
        if fits.any() and (fits | plain).sum() >= _NEARLY_ALL * len(values):
            return notation
    return None
