"""One reader a file format, each giving the same thing: pieces of rows with a name for each row.

A `Table` can be read twice (infer, then store), in bounded memory where its format allows (CSV and
JSON Lines do; an Excel sheet is read whole; a Parquet file is held compressed). Text stays text
here: what a column is, is decided later.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

import fastexcel
import orjson
import polars as pl

from appliance.data import headers, sniff
from appliance.data.csv_blocks import BLOCK, Block, Dialect, NotUtf8, blocks
from appliance.data.infer import Place
from appliance.data.options import ImportOptions
from appliance.errors import BadInput

ROWS = 100_000  # rows in a piece of Parquet or Excel, unless there are very many columns
_CELLS = 3_000_000
_EXCEL_NAMES = {"utf-8": "UTF-8", "windows-1256": "Windows-1256 (Arabic)", "windows-1252": "Windows-1252"}


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


def open_table(source: BinaryIO, name: str, options: ImportOptions) -> Table:
    match sniff.file_format(source, name, options.format):
        case "parquet":
            return ParquetTable(source, name)
        case "xlsx":
            return ExcelTable(source, name, options)
        case "jsonl":
            return JsonLinesTable(source, name)
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
            shown = _EXCEL_NAMES.get(self._dialect.encoding, self._dialect.encoding.upper())
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

    def __init__(self, source: BinaryIO, name: str) -> None:
        self._source, self._name = source, name
        self._columns: dict[str, None] = {}

    def notes(self) -> list[str]:
        return []

    def pieces(self) -> Iterator[Piece]:
        size = max(self._source.seek(0, io.SEEK_END), 1)
        self._source.seek(0)
        carry, line, at = b"", 1, 0
        while piece := self._source.read(BLOCK // 2):
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


class ParquetTable:
    typed = True

    def __init__(self, source: BinaryIO, name: str) -> None:
        source.seek(0)
        self._raw = source.read()
        damaged = BadInput(f"'{name}' is a damaged or cut-off Parquet file.", "Export or copy it again.")
        if self._raw[-4:] == b"PARE":
            raise BadInput(f"'{name}' is an encrypted Parquet file.", "Export it without encryption.")
        if self._raw[-4:] != b"PAR1":
            raise damaged
        self._damaged = damaged
        try:
            self._frame = pl.scan_parquet(self._raw)
            schema = self._frame.collect_schema()
            self._rows = int(self._frame.select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise damaged from error
        headers.column_names(schema.names(), "The list of columns")
        self._step = max(min(ROWS, _CELLS // max(len(schema), 1)), 1)

    def notes(self) -> list[str]:
        return []

    def pieces(self) -> Iterator[Piece]:
        for start in range(0, self._rows, self._step):
            try:
                frame = self._frame.slice(start, self._step).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
                raise self._damaged from error
            yield Piece(frame, _row_of(start + 1), (start + frame.height) / self._rows)


def _row_of(first: int) -> Place:
    return lambda row: f"row {first + row}"


@dataclass
class ExcelTable:
    """One sheet of a workbook, with the column names in its first row that holds anything."""

    source: BinaryIO
    name: str
    options: ImportOptions
    typed: bool = False
    _sheet: str = ""
    _others: list[str] = field(default_factory=list)
    _frame: pl.DataFrame = field(default_factory=pl.DataFrame)

    def __post_init__(self) -> None:
        self.source.seek(0)
        try:
            book = fastexcel.read_excel(self.source.read())
        except fastexcel.FastExcelError as error:
            raise self._damaged() from error
        names = book.sheet_names
        wanted = self.options.sheet
        if wanted is not None and wanted not in names:
            raise BadInput(f"'{self.name}' has no sheet '{wanted}'.", f"It has: {', '.join(names)}.")
        if not names:
            raise BadInput(f"'{self.name}' has no sheets.", "Choose a workbook with a table in it.")
        self._sheet = wanted or names[0]
        self._others = [name for name in names if name != self._sheet]
        try:
            top = book.load_sheet(self._sheet, header_row=None, n_rows=1, dtypes="string").to_polars()
            if not top.height:
                raise BadInput(
                    f"The sheet '{self._sheet}' of '{self.name}' is empty.", "Name another: --sheet NAME."
                )
            fields = headers.column_names([value or "" for value in top.row(0)], "The first row")
            sheet = book.load_sheet(
                self._sheet,
                header_row=0,
                column_names=list(fields),
                schema_sample_rows=None,
                skip_whitespace_tail_rows=True,
            )
            self._frame = sheet.to_polars()
        except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
            raise self._damaged() from error

    def _damaged(self) -> BadInput:
        return BadInput(f"'{self.name}' is a damaged or protected Excel workbook.", "Save it again as .xlsx.")

    def notes(self) -> list[str]:
        if self.options.sheet is not None or not self._others:
            return []
        return [f"Only the sheet '{self._sheet}' is read; there are also: {', '.join(self._others)}."]

    def pieces(self) -> Iterator[Piece]:
        for start in range(0, self._frame.height, ROWS):
            frame = self._frame.slice(start, ROWS)
            yield Piece(frame, _row_of(start + 2), (start + frame.height) / self._frame.height)
