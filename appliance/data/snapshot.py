"""A file in, Parquet chunks out: the import of a table, in two readings and bounded memory.

The first reading checks the file and gathers evidence for what each column is; then everything that
needs the owner's word is asked, before a byte is written. The second reading casts, profiles and
writes. A chunk is at most CHUNK_LIMIT bytes of Parquet.
"""

from __future__ import annotations

import difflib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import polars as pl

from appliance.data import privacy
from appliance.data.columns import ColumnReader, reader_of
from appliance.data.csv_blocks import NotUtf8
from appliance.data.options import ImportOptions
from appliance.data.pieces import Table
from appliance.data.profile import TableProfile
from appliance.data.readers import CsvTable, open_table
from appliance.data.types import DatasetColumn
from appliance.errors import BadInput, Corrupted

CHUNK_LIMIT = 64_000_000
_NAMED = 5  # columns that one note lists by name

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class ImportedTable:
    rows: int
    columns: tuple[DatasetColumn, ...]
    profile: dict[str, Any]
    notes: list[str]


def import_table(
    source: BinaryIO,
    name: str,
    options: ImportOptions,
    write_chunk: Callable[[bytes], None],
    progress: Progress,
) -> ImportedTable:
    """Read the table in `source` (seekable; `name` only tells its format and is shown to people).

    `write_chunk` gets Parquet files in row order; `progress` a share (0-1) and what is being done.
    Raises BadInput for everything that is wrong with the file or that only its owner can say.
    Nothing is written before the whole file has been checked.
    """
    table = open_table(source, name, options)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="import") as threads:
        try:
            readers, rows = _first_reading(table, options, threads, progress)
        except NotUtf8 as wrong:
            assert isinstance(table, CsvTable)
            table.reopen(wrong)
            readers, rows = _first_reading(table, options, threads, progress)
        if not rows:
            raise BadInput(f"'{name}' has column names but no rows.", "Choose a file with at least one row.")
        notes = table.notes()
        decided = [reader.decide() for reader in readers]
        personal = {r.name: kind for r in readers if (kind := privacy.personal_kind(r.name, r.sample()))}
        privacy.require_confirmed(personal, options)
        columns = tuple(replace(column, personal=personal.get(column.name, "")) for column, _ in decided)
        notes += [note for _, remarks in decided for note in remarks]
        notes += [f"'{c}' holds personal data ({kind}), kept as confirmed." for c, kind in personal.items()]
        spans = [reader.span(column) for reader, column in zip(readers, columns, strict=True)]
        profile = TableProfile(columns, spans)
        missing = _second_reading(table, readers, columns, profile, write_chunk, threads, progress)
    if profile.rows != rows:
        raise Corrupted("The file changed while it was read.", "Import it again.")
    notes += _missing_notes(missing)
    return ImportedTable(rows, columns, profile.as_json(), notes)


def read_chunks(chunks: Iterable[bytes], columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """The frames that were stored, in order; with `columns`, only those and in that order."""
    for chunk in chunks:
        try:
            frame = pl.read_parquet(io.BytesIO(chunk), columns=None if columns is None else list(columns))
        except pl.exceptions.ColumnNotFoundError:
            raise  # the caller asked for a column that was never stored
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise Corrupted(
                "A stored part of the dataset is damaged.", "Restore it from a backup."
            ) from error
        yield frame.select(columns) if columns is not None else frame


def _first_reading(
    table: Table, options: ImportOptions, threads: Executor, progress: Progress
) -> tuple[list[ColumnReader], int]:
    readers: dict[str, ColumnReader] = {}
    seen: dict[str, None] = {}
    rows = 0
    for piece in table.pieces():
        for series in piece.frame.iter_columns():
            name = series.name.strip()
            seen[name] = None
            if name not in readers and name not in options.drop:
                readers[name] = reader_of(series.alias(name), table.typed, options)
        work = [(readers[s.name.strip()], s) for s in piece.frame.iter_columns() if s.name.strip() in readers]
        list(threads.map(lambda pair: pair[0].update(pair[1], piece.place), work))  # noqa: B023 - used at once
        rows += piece.frame.height
        progress(piece.done / 2, "checking")
    if rows:
        _check_names(list(seen), options)
    return list(readers.values()), rows


def _check_names(names: list[str], options: ImportOptions) -> None:
    for name in (*options.types, *options.confirm_personal, *options.drop):
        if name not in names and name != "*":
            _refuse_unknown(name, names)
    if set(names) <= set(options.drop):
        raise BadInput("All columns are dropped.", "Keep at least one.")


def _refuse_unknown(name: str, names: list[str]) -> None:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names[:20])}."
    raise BadInput(f"The file has no column '{name}'.", hint, column=name)


def _second_reading(
    table: Table,
    readers: Sequence[ColumnReader],
    columns: Sequence[DatasetColumn],
    profile: TableProfile,
    write_chunk: Callable[[bytes], None],
    threads: Executor,
    progress: Progress,
) -> dict[str, Counter[str]]:
    """Store every piece; returns which words were taken as missing, per column."""
    missing: dict[str, Counter[str]] = {column.name: Counter() for column in columns}
    for piece in table.pieces():
        given = {series.name.strip(): series for series in piece.frame.iter_columns()}
        work = [(reader, given[reader.name], column) for reader, column in zip(readers, columns, strict=True)]
        done = list(threads.map(lambda item: item[0].store(item[1], item[2]), work))
        frame = pl.DataFrame([stored.alias(c.name) for (stored, _), c in zip(done, columns, strict=True)])
        for (_, words), column in zip(done, columns, strict=True):
            missing[column.name].update(words)
        profile.add(frame, threads)
        _write(frame, write_chunk)
        progress(0.5 + piece.done / 2, "storing")
    return missing


def _write(frame: pl.DataFrame, write_chunk: Callable[[bytes], None]) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    if buffer.tell() <= CHUNK_LIMIT or frame.height == 1:
        write_chunk(buffer.getvalue())
        return
    half = frame.height // 2
    _write(frame[:half], write_chunk)
    _write(frame[half:], write_chunk)


def _missing_notes(missing: dict[str, Counter[str]]) -> list[str]:
    notes = []
    words = sorted({word for counts in missing.values() for word in counts})
    for word in words:
        names = [name for name, counts in missing.items() if word in counts]
        what = f"'{word}' is" if word else "Blanks are"
        total = sum(missing[name][word] for name in names)
        shown = ", ".join(names[:_NAMED]) + (
            f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        )
        notes.append(f"{what} taken as missing ({total} {'value' if total == 1 else 'values'} in {shown}).")
    return notes
