"""What every reader of a file gives: pieces of rows, with a name for the place of each row.

A `Table` can be read twice (infer, then store). Text stays text here: what a column is, is decided later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

Place = Callable[[int], str]  # row of a piece -> "line 7"


@dataclass(frozen=True)
class Piece:
    """Some rows; `place(i)` says where row i stands in the file; `done` is the share read so far."""

    frame: pl.DataFrame
    place: Place
    done: float


class Table(Protocol):
    typed: bool  # the format gives every column its type: numbers are not looked for in its text

    def pieces(self) -> Iterator[Piece]:
        """All rows in order, from the beginning. Raises BadInput with the place of what is wrong."""

    def notes(self) -> list[str]:
        """What was assumed about the file."""


def row_of(first: int) -> Place:
    return lambda row: f"row {first + row}"
