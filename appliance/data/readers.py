"""The reader for each file format, and the two that read text: CSV and JSON Lines, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import orjson
import polars as pl

from appliance.data import headers, sniff
from appliance.data.csv_blocks import BLOCK, Block, Dialect, NotUtf8, blocks
from appliance.data.options import ImportOptions
from appliance.data.pieces import Piece, Place, Table
from appliance.data.typed_files import ExcelTable, ParquetTable
from appliance.errors import BadInput

_SHOWN_AS = {"utf-8": "UTF-8", "windows-1256": "Windows-1256 (Arabic)", "windows-1252": "Windows-1252"}


def open_table(source: BinaryIO, name: str, options: ImportOptions) -> Table:
    match sniff.file_format(source, name, options.format):
        case "parquet":
            return ParquetTable(source, name)
        case "xlsx":
            return ExcelTable(source, name, options)
        case "jsonl":
            return JsonLinesTable(source, options)
        case _:
            return CsvTable(source, name, options)


class CsvTable:
    typed = False

    def __init__(self, source: BinaryIO, name: str, options: ImportOptions) -> None:
        self._source, self._name, self._options = source, name, options
        self._dialect = headers.read_dialect(source, name, options)
        self._in_order = True  # no blank line so far
        self._checked = False  # read to the end once

    def pieces(self) -> Iterator[Piece]:
        """Raises NotUtf8 once, on the first reading, when the file is not in the encoding it began in."""
        return self._pieces(self._dialect)

    def reopen(self, wrong: NotUtf8) -> None:
        """Take the encoding that the sample shows; the next reading starts over."""
        self._dialect = headers.read_dialect(self._source, self._name, self._options, again=wrong.sample)
        self._dialect = replace(self._dialect, sniffed=False)

    def _pieces(self, dialect: Dialect) -> Iterator[Piece]:
        for block in blocks(self._source, dialect, self._checked and self._in_order):
            self._in_order = self._in_order and not block.blank
            if block.rows:
                yield Piece(_parse(block, dialect), _line_of(block), block.done)
        self._checked = True

    def notes(self) -> list[str]:
        notes = []
        if self._options.separator is None and self._dialect.separator != ",":
            notes.append(f"The values are separated by {sniff.NAMES[self._dialect.separator]}.")
        if self._options.encoding is None and self._dialect.encoding != "utf-8":
            shown = _SHOWN_AS.get(self._dialect.encoding, self._dialect.encoding.upper())
            notes.append(f"The text is read as {shown}; use --encoding if letters look wrong.")
        return notes


def _parse(block: Block, dialect: Dialect) -> pl.DataFrame:
    frame = pl.read_csv(
        block.data,
        has_header=False,
        infer_schema=False,
        new_columns=list(dialect.names),
        separator=dialect.separator,
        quote_char='"' if block.quoted else None,
    )
    if block.rows not in (-1, frame.height) or frame.width != len(dialect.names):
        raise BadInput(
            f"The rows from line {block.first_line} on can't be told apart.",
            "Export the table again as CSV, with quotation marks around every text.",
        )
    return frame


def _line_of(block: Block) -> Place:
    return lambda row: f"line {block.line_of(row)}"


class JsonLinesTable:
    """One JSON object a line. Values become text as they would be written in a CSV."""

    typed = False

    def __init__(self, source: BinaryIO, options: ImportOptions) -> None:
        self._source, self._dropped = source, frozenset(options.drop)
        self._columns: dict[str, None] = {}

    def notes(self) -> list[str]:
        return []

    def pieces(self) -> Iterator[Piece]:
        size = max(self._source.seek(0, io.SEEK_END), 1)
        self._source.seek(0)
        carry, line, at = b"", 1, 0
        while piece := sniff.beginning(self._source, BLOCK // 2):
            at += len(piece)
            if at == len(piece):
                piece = piece.removeprefix(b"\xef\xbb\xbf")
            cut = piece.rfind(b"\n") + 1
            if not cut:
                carry += piece
                if len(carry) > 4 * BLOCK:
                    raise BadInput(f"Line {line} is too long.", "JSON Lines has one small object a line.")
                continue
            data, carry = carry + piece[:cut], piece[cut:]
            yield from self._read(data, line, at / size)
            line += data.count(b"\n")
        if carry.strip():
            yield from self._read(carry, line, 1.0)

    def _read(self, data: bytes, line: int, done: float) -> Iterator[Piece]:
        rows, lines = [], []
        for number, text in enumerate(data.split(b"\n"), start=line):
            if text and not text.isspace():
                rows.append(_object(text, number))
                lines.append(number)
        if not rows:
            return
        for row in rows:
            for name in row:
                if name not in self._columns:
                    self._columns[name] = None
        if len({name.strip() for name in self._columns}) < len(self._columns) or "" in self._columns:
            headers.column_names(list(self._columns), f"Up to line {lines[-1]}")
        known = list(zip(rows, lines, strict=True))
        frame = pl.DataFrame(
            [
                pl.Series(name, [_text(row.get(name), name, at) for row, at in known], pl.String)
                if name not in self._dropped
                else pl.Series(name, [None] * len(known), pl.String)
                for name in self._columns
            ]
        )
        yield Piece(frame, lambda row: f"line {lines[row]}", done)


def _object(text: bytes, line: int) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"Line {line}: this is not JSON ({str(error).split(':')[0]}).",
            "JSON Lines has one whole object a line; the file may be cut off there.",
        ) from None
    if not isinstance(found, dict):
        raise BadInput(
            f"Line {line}: one object with named values is needed here.",
            'Write one object a line: {"column": value, ...}; a JSON list is not read.',
        )
    return found


def _text(value: Any, name: str, line: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise BadInput(
        f"Line {line}: '{name}' holds a list or an object, not one value.",
        f"Give its parts columns of their own, or leave it out: --drop '{name}'.",
        column=name,
    )
