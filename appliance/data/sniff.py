"""What a file is, from its first bytes: its format, its text encoding, its separator.

Nothing here decides silently: what was assumed is told in the notes of the import, and each
guess has an option that overrides it. A sample ends anywhere, so the last line is never trusted.
"""

from __future__ import annotations

import csv
import zipfile
from typing import BinaryIO

from appliance.errors import BadInput

SAMPLE = 1 << 18
SEPARATORS = ",;\t|"
NAMES = {",": "a comma", ";": "';'", "\t": "a tab", "|": "'|'"}

_MAGIC = {
    b"PAR1": "parquet",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh": "a bzip2 archive",
    b"\xd0\xcf\x11\xe0": "an old Office document (.xls, .doc)",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
    b"MZ": "a Windows program",
    b"ARROW1": "an Arrow file",
}
_BY_NAME = {
    "csv": "csv", "tsv": "csv", "txt": "csv", "tab": "csv", "parquet": "parquet", "pq": "parquet",
    "xlsx": "xlsx", "xlsm": "xlsx", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl",
}  # fmt: skip
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Letters of the Arabic alphabet in Windows-1256 (with hamza forms, Farsi letters left out).
_ARABIC = frozenset(range(0xC1, 0xD7)) | frozenset(range(0xD8, 0xE0)) | frozenset(
    (0xE1, 0xE3, 0xE4, 0xE5, 0xE6, 0xEC, 0xED)
)  # fmt: skip


def file_format(source: BinaryIO, name: str, wanted: str | None) -> str:
    """csv, parquet, xlsx or jsonl, from what was asked for, the content and the name, in that order.

    Raises BadInput when the content is plainly something else than what the name or option says.
    """
    source.seek(0)
    head = beginning(source, 4096)
    if not head:
        raise BadInput(f"'{name}' is empty.", "Choose a file with column names and at least one row.")
    suffix = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    named = wanted or _BY_NAME.get(suffix, "")
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if head.lstrip(b"\xef\xbb\xbf \r\n\t")[:14].lower().startswith((b"<!doctype html", b"<html")):
        found = "a web page"
    if found == "zip":
        found = "xlsx" if _is_workbook(source) else "a zip archive"
    if found == "a Windows program" and b"\x00" not in head:
        found = ""  # a text file may begin with "MZ"
    if found in ("parquet", "xlsx"):
        if wanted not in (None, found):
            raise BadInput(f"'{name}' is a {found} file, not {wanted}.", "Leave --format out.")
        return found
    if found:
        raise BadInput(
            f"'{name}' is {found}, not a table.",
            "Unpack it first, and import the file inside." if "archive" in found else _SAVE_AS,
        )
    if named in ("parquet", "xlsx"):
        what = "a Parquet file" if named == "parquet" else "an Excel workbook (.xlsx)"
        raise BadInput(f"'{name}' is not {what}.", "It may be damaged or wrongly named: export it again.")
    if named:
        return named
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else "csv"


def beginning(source: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, or all there are: a reader may give less at a time than asked for."""
    parts, room = [], size
    while room and (part := source.read(room)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


_SAVE_AS = "Save the table as CSV, Excel (.xlsx), Parquet or JSON Lines, and import that."


def _is_workbook(source: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(source) as archive:
            return any(entry.startswith("xl/") for entry in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        source.seek(0)
        return b"xl/" in source.read(SAMPLE)  # a cut-off workbook: its reader says what is wrong


def encoding(sample: bytes) -> tuple[str, int]:
    """(encoding, length of the byte-order mark) of text that begins like this."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name, len(mark)
    if b"\x00" in sample:
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        if odd > 0.3 * len(sample[1::2]) and even < odd / 4:
            return "utf-16-le", 0
        if even > 0.3 * len(sample[0::2]) and odd < even / 4:
            return "utf-16-be", 0
    if is_utf8(sample):
        return "utf-8", 0
    return legacy(sample), 0


def is_utf8(sample: bytes) -> bool:
    """Whether this is UTF-8, cut off anywhere."""
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(sample) - 3 and "unexpected end" in error.reason
    return True


def legacy(sample: bytes) -> str:
    """windows-1256 or windows-1252, whichever a text with bytes over 127 looks like.

    Arabic comes as whole words of high bytes, nearly all of them letters; Western text has single
    high bytes among Latin letters.
    """
    high = [index for index, byte in enumerate(sample) if byte > 0x7F]
    runs = sum(1 for index in high if sample[index - 1 : index + 2] and _beside_high(sample, index))
    letters = sum(1 for index in high if sample[index] in _ARABIC)
    arabic = len(high) > 0 and runs >= 0.7 * len(high) and letters >= 0.8 * len(high)
    if not arabic:
        try:
            sample.decode("windows-1252")
        except UnicodeDecodeError:
            return "windows-1256"
    return "windows-1256" if arabic else "windows-1252"


def _beside_high(sample: bytes, index: int) -> bool:
    before = index > 0 and sample[index - 1] > 0x7F
    return before or (index + 1 < len(sample) and sample[index + 1] > 0x7F)


def separator(text: str) -> str:
    """The separator of a table that begins with this text: `,` `;` tab or `|`; "," for one column.

    The one that stands in the first line and then most often the same number of times a line.
    """
    lines = text.splitlines()[:500]
    if len(lines) > 1 and not text.endswith(("\n", "\r")) and len(text) >= SAMPLE // 4:
        lines = lines[:-1]
    best, score = ",", (0.0, 0)
    for candidate in SEPARATORS:
        try:
            widths = [len(row) - 1 for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        if not widths or widths[0] == 0:
            continue
        agree = sum(width == widths[0] for width in widths) / len(widths)
        if (agree, widths[0]) > score:
            best, score = candidate, (agree, widths[0])
    return best
