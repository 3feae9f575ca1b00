"""A CSV file as blocks of whole records in UTF-8, checked, in bounded memory.

Each block is some megabytes that end at a line end outside quotes. Its field counts and quotes are
checked with numpy before any parser sees it, so that every complaint has a line number. A record
longer than RECORD_LIMIT means a quote that is never closed.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from appliance.data.sniff import SAMPLE, beginning
from appliance.errors import BadInput

BLOCK = 1 << 23
RECORD_LIMIT = 1 << 24
_QUOTE, _LF = 34, 10

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written: where its text starts (after a mark), its column names, lines above data."""

    encoding: str
    start: int
    separator: str
    names: tuple[str, ...]
    lines_above: int
    sniffed: bool  # the encoding was worked out, not given


@dataclass(frozen=True)
class Block:
    """Whole records with `\\n` line ends; row i stands on line `lines[i]`, or `first_line + i`.

    `rows` is -1 where they were not counted again.
    """

    data: bytes
    rows: int
    quoted: bool
    first_line: int
    lines: NDArray[np.intp] | None
    done: float  # share of the file read so far
    blank: bool = False  # lines without anything were taken out

    def line_of(self, row: int) -> int:
        return int(self.lines[row]) if self.lines is not None else self.first_line + row


class NotUtf8(Exception):
    """The beginning looked like UTF-8, and further on the text is not; `sample` shows where."""

    def __init__(self, sample: bytes) -> None:
        super().__init__("not UTF-8")
        self.sample = sample


def blocks(source: BinaryIO, dialect: Dialect, checked: bool = False) -> Iterator[Block]:
    """The file's records, header left out. Raises BadInput with a line number, or NotUtf8.

    `checked`: an earlier reading found every line in order and none blank; rows are not counted then.
    """
    line, skip = 1, dialect.lines_above
    for data, done in _records(source, dialect):
        if skip:  # the header stands whole in the first piece: the dialect was read from less
            end = -1
            for _ in range(skip):
                end = data.find(b"\n", end + 1)
            data, line, skip = data[end + 1 :], line + skip, 0
        if data and checked:
            yield Block(data, -1, b'"' in data, line, None, done)
        elif data:
            _check_text(data, line, dialect)
            yield _check_fields(data, line, dialect, done)
            line += _count(data, _LF)


def _count(data: bytes, byte: int) -> int:
    """How often a frequent byte stands in the data: several times faster than `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == byte))


def _records(source: BinaryIO, dialect: Dialect) -> Iterator[tuple[bytes, float]]:
    """UTF-8 pieces (not validated where the source is UTF-8) that end at the end of a record."""
    carry, line = b"", 1
    for text, done in _pieces(source, dialect):
        buffer = carry + text if carry else text
        end = _last_record_end(buffer)
        carry = buffer[end:]
        if len(carry) > RECORD_LIMIT:
            _refuse_unclosed(carry, line + buffer.count(b"\n", 0, end), dialect.separator)
        whole = buffer if end == len(buffer) else buffer[:end]
        line += _count(whole, _LF)
        if whole:
            yield whole, done
    if carry:
        if carry.count(b'"') % 2:
            _refuse_unclosed(carry, line, dialect.separator)
        yield carry + b"\n", 1.0


def _pieces(source: BinaryIO, dialect: Dialect) -> Iterator[tuple[bytes, float]]:
    """The text after its mark, as UTF-8 with `\\n` line ends, cut anywhere."""
    size = max(source.seek(0, io.SEEK_END), 1)
    source.seek(dialect.start)
    plain = dialect.encoding == "utf-8"
    decoder = codecs.getincrementaldecoder(dialect.encoding)("strict")
    at, line, held = dialect.start, 1, b""
    while piece := beginning(source, BLOCK):
        at += len(piece)
        text = piece
        if not plain:
            try:
                text = decoder.decode(piece).encode("utf-8", "strict")
            except UnicodeError as error:
                before = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
                _refuse_encoding(line + before.count(b"\n"), dialect.encoding, error)
            line += text.count(b"\n")
        text, held = held + text, b""
        if b"\r" in text:
            if text.endswith(b"\r"):  # perhaps the first half of a line end
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield text, at / size
    if not plain:
        try:
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            _refuse_encoding(line, dialect.encoding, error)
    if held:
        yield b"\n", 1.0


def _last_record_end(buffer: bytes) -> int:
    """Just behind the last line end that is outside quotes, or 0."""
    end = len(buffer)
    inside = _count(buffer, _QUOTE) % 2
    while True:
        at = buffer.rfind(b"\n", 0, end)
        if at < 0:
            return 0
        inside ^= buffer.count(b'"', at, end) % 2
        if not inside:
            return at + 1
        end = at


def _check_text(data: bytes, line: int, dialect: Dialect) -> None:
    if b"\x00" in data:
        bad = line + data.count(b"\n", 0, data.index(b"\x00"))
        raise BadInput(f"Line {bad}: this is not text.", "Export the table again as CSV, in UTF-8.")
    if dialect.encoding != "utf-8" or data.isascii():
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if dialect.sniffed:
            raise NotUtf8(data[max(error.start - SAMPLE, 0) : error.start + SAMPLE]) from error
        _refuse_encoding(line + data.count(b"\n", 0, error.start), dialect.encoding, error)


def _check_fields(data: bytes, line: int, dialect: Dialect, done: float) -> Block:
    """Every record has a value for every column; blank lines are taken out."""
    per_row = len(dialect.names) - 1
    codes = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(codes == _LF)
    cuts = np.flatnonzero(codes == ord(dialect.separator))
    quoted = b'"' in data
    all_ends = ends
    if quoted:
        _check_quotes(codes, data, line, dialect.separator)
        inside = np.cumsum(codes == _QUOTE, dtype=np.uint8) & 1
        ends, cuts = ends[inside[ends] == 0], cuts[inside[cuts] == 0]
    irregular = len(all_ends) != len(ends)
    starts = np.concatenate(([0], ends[:-1] + 1))
    blank = np.zeros(0, dtype=np.intp)
    if per_row == 0 or not _regular(cuts, ends, per_row):
        blank = _blank_lines(data, starts, ends, cuts, per_row)
        counts = np.diff(np.searchsorted(cuts, ends), prepend=0)
        wrong = np.setdiff1d(np.flatnonzero(counts != per_row), blank, assume_unique=True)
        if len(wrong):
            row = int(wrong[0])
            _refuse_ragged(line + data.count(b"\n", 0, int(starts[row])), int(counts[row]) + 1, dialect)
    lines = None
    if irregular or len(blank):
        lines = line + np.searchsorted(all_ends, starts)
        lines = np.delete(lines, blank)
    if len(blank):
        keep = np.ones(len(codes), dtype=np.bool_)
        for row in blank.tolist():
            keep[starts[row] : ends[row] + 1] = False
        data = codes[keep].tobytes()
    return Block(data, len(ends) - len(blank), quoted, line, lines, done, len(blank) > 0)


def _regular(cuts: Positions, ends: Positions, per_row: int) -> bool:
    """Whether the separators fall evenly: the last of each row before its end, the next one after."""
    if len(cuts) != per_row * len(ends):
        return False
    last, first = cuts[per_row - 1 :: per_row], cuts[per_row::per_row]
    return bool((last < ends).all() and (first > ends[:-1]).all())


def _blank_lines(data: bytes, starts: Positions, ends: Positions, cuts: Positions, per_row: int) -> Positions:
    """Rows without anything but white space (and without a separator, where columns have one)."""
    if per_row == 0:
        return np.flatnonzero(ends == starts)
    counts = np.diff(np.searchsorted(cuts, ends), prepend=0)
    rows = np.flatnonzero((counts == 0) & (ends - starts < SAMPLE))
    empty = [row for row in rows.tolist() if not data[starts[row] : ends[row]].strip()]
    return np.array(empty, dtype=np.intp)


def _check_quotes(codes: NDArray[np.uint8], data: bytes, line: int, separator: str) -> None:
    """A quote opens at the start of a value and closes at its end, or is written twice inside."""
    quotes = np.flatnonzero(codes == _QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    edges = np.array([ord(separator), _LF, _QUOTE], dtype=np.uint8)
    bad_open = opening[(opening > 0) & ~np.isin(codes[opening - 1], edges)]
    following = codes[np.minimum(closing + 1, len(codes) - 1)]
    bad_close = closing[~np.isin(following, edges)]
    bad = np.concatenate((bad_open[:1], bad_close[:1]))
    if len(bad):
        at = line + data.count(b"\n", 0, int(bad.min()))
        raise BadInput(
            f"Line {at}: a quotation mark in the middle of a value.",
            'Put the whole value in quotation marks and write the inner one twice: "5"" pipe".',
        )


def _refuse_unclosed(rest: bytes, line: int, separator: str) -> NoReturn:
    codes = np.frombuffer(rest, dtype=np.uint8)
    _check_quotes(codes, rest, line, separator)
    quotes = np.flatnonzero(codes == _QUOTE)
    at = line + (rest.count(b"\n", 0, int(quotes[-1])) if len(quotes) % 2 else 0)
    what = "a quotation mark is opened and never closed" if len(quotes) % 2 else "the row is too long"
    raise BadInput(f"Line {at}: {what}.", "The file may be cut off: export it again, or correct that line.")


def _refuse_ragged(line: int, found: int, dialect: Dialect) -> NoReturn:
    wanted = len(dialect.names)
    raise BadInput(
        f"Line {line} has {found} {'value' if found == 1 else 'values'}, but there are {wanted} columns.",
        f"The file may be cut off there, or a value with '{dialect.separator}' in it needs quotation marks."
        if found < wanted
        else f"A value with '{dialect.separator}' in it needs quotation marks; see also --separator.",
    )


def _refuse_encoding(line: int, encoding: str, error: UnicodeError) -> NoReturn:
    raise BadInput(
        f"Line {line}: a character that is not {encoding}.",
        "Say how the file is written, for example --encoding windows-1256, or save it as UTF-8.",
    ) from error
