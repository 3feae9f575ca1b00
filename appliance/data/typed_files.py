"""Parquet and Excel: files whose values have types already.

A Parquet file is held compressed and read a part at a time; an Excel sheet (at most 1 048 576 rows) is
read whole. Both are untrusted: whatever their parsers raise becomes one plain message.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import fastexcel
import polars as pl

from appliance.data import headers
from appliance.data.csv_blocks import BLOCK
from appliance.data.options import ImportOptions
from appliance.data.pieces import Piece, row_of
from appliance.errors import BadInput

ROWS = 100_000  # rows in a piece, unless there are very many columns
_CELLS = 3_000_000
_EXCEL_ABOVE = 100  # empty rows there may be above the column names
_ERROR_CELL = b' t="e"'


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
            yield Piece(frame, row_of(start + 1), (start + frame.height) / self._rows)


class ExcelTable:
    """One sheet of a workbook, with the column names in its first row that holds anything."""

    typed = False

    def __init__(self, source: BinaryIO, name: str, options: ImportOptions) -> None:
        self._name, self._asked = name, options.sheet
        source.seek(0)
        raw = source.read()
        try:
            book = fastexcel.read_excel(raw)
        except fastexcel.FastExcelError as error:
            raise self._damaged() from error
        names = book.sheet_names
        wanted = self._asked
        if wanted is not None and wanted not in names:
            raise BadInput(f"'{self._name}' has no sheet '{wanted}'.", f"It has: {', '.join(names)}.")
        if not names:
            raise BadInput(f"'{self._name}' has no sheets.", "Choose a workbook with a table in it.")
        self._sheet = wanted or names[0]
        self._others = [name for name in names if name != self._sheet]
        try:
            top = book.load_sheet(
                self._sheet, header_row=None, skip_rows=0, n_rows=_EXCEL_ABOVE, dtypes="string"
            ).to_polars()
            above = next((i for i, row in enumerate(top.iter_rows()) if any(row)), None)
            if above is None:
                raise BadInput(
                    f"The sheet '{self._sheet}' of '{self._name}' is empty.", "Name another: --sheet NAME."
                )
            fields = headers.column_names([value or "" for value in top.row(above)], f"Row {above + 1}")
            self._first = above + 2
            sheet = book.load_sheet(
                self._sheet,
                header_row=above,
                schema_sample_rows=None,
                skip_whitespace_tail_rows=True,
            )
            self._frame = sheet.to_polars()
            self._frame.columns = list(fields)
            self._broken = _error_cells(raw)
        except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
            raise self._damaged() from error

    def _damaged(self) -> BadInput:
        return BadInput(
            f"'{self._name}' is a damaged or protected Excel workbook.", "Save it again as .xlsx."
        )

    def notes(self) -> list[str]:
        notes = []
        if self._broken:
            cells = "cell is" if self._broken == 1 else "cells are"
            notes.append(f"{self._broken} {cells} an Excel error (such as #DIV/0!), taken as missing.")
        if self._asked is not None or not self._others:
            return notes
        return [*notes, f"Only the sheet '{self._sheet}' is read; there are also: {', '.join(self._others)}."]

    def pieces(self) -> Iterator[Piece]:
        for start in range(0, self._frame.height, ROWS):
            frame = self._frame.slice(start, ROWS)
            yield Piece(frame, row_of(start + self._first), (start + frame.height) / self._frame.height)


def _error_cells(raw: bytes) -> int:
    """How many cells of the workbook hold an error: its reader gives them as empty."""
    found = 0
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for entry in archive.namelist():
            if entry.startswith("xl/worksheets/") and entry.endswith(".xml"):
                with archive.open(entry) as sheet:
                    tail = b""
                    while part := sheet.read(BLOCK):
                        found += (tail + part).count(_ERROR_CELL)
                        tail = part[1 - len(_ERROR_CELL) :]
    return found
