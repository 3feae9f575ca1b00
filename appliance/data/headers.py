"""The first lines of a CSV: how it is written, and what its columns are called."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from typing import BinaryIO

from appliance.data import sniff
from appliance.data.csv_blocks import Dialect
from appliance.data.options import ImportOptions
from appliance.errors import BadInput


def read_dialect(source: BinaryIO, name: str, options: ImportOptions, again: bytes | None = None) -> Dialect:
    """How this CSV is written; `again` is a sample from where UTF-8 proved wrong.

    Raises BadInput for a file without column names, or with empty or repeated ones.
    """
    source.seek(0)
    sample = sniff.beginning(source, sniff.SAMPLE)
    encoding, start = sniff.encoding(sample)
    if options.encoding is not None and not start:  # a byte-order mark knows better
        encoding = options.encoding
        encoding = "utf-8" if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig") else encoding
    elif again is not None:
        encoding = sniff.legacy(again)
    if b"\x00" in sample and not encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        raise BadInput(f"'{name}' is not a table of text.", "Save it as CSV in UTF-8, and import that.")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    text = decoder.decode(sample[start:]).replace("\r\n", "\n").replace("\r", "\n")
    above, separator = _separator_line(text)
    lines = text.split("\n")
    separator = options.separator or separator or sniff.separator("\n".join(lines[above:]))
    while above < len(lines) and not lines[above].strip():
        above += 1
    reader = csv.reader((line + "\n" for line in lines[above:]), delimiter=separator)
    try:
        fields = next(reader, [])
    except csv.Error as error:
        raise BadInput(f"Line {above + 1}: the column names can't be read.", "Is this a CSV file?") from error
    if not any(field.strip() for field in fields) and len(fields) <= 1:
        raise BadInput(f"'{name}' is empty.", "Choose a file with column names and at least one row.")
    end = above + reader.line_num
    if end >= len(lines) and len(sample) == sniff.SAMPLE:
        raise BadInput(f"Line {above + 1}: the column names don't end.", "Is a quotation mark not closed?")
    if "\n".join(lines[above:end]).count('"') % 2:
        raise BadInput(
            f"Line {above + 1}: a quotation mark is opened and never closed.", "Correct the column names."
        )
    names = column_names(fields, f"Line {above + 1}")
    return Dialect(encoding, start, separator, names, end, options.encoding is None)


def column_names(fields: Sequence[str], place: str) -> tuple[str, ...]:
    """The column names, without spaces around them. Raises BadInput for empty and repeated ones."""
    names = tuple(field.strip() for field in fields)
    first: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if not name:
            raise BadInput(
                f"{place}: column {position} has no name.",
                "Give it a name; if it only numbers the rows, take it out of the file.",
            )
        if name in first:
            raise BadInput(
                f"{place}: two columns are called '{name}' (columns {first[name]} and {position}).",
                "Rename one of them in the file.",
                column=name,
            )
        first[name] = position
    if all(_is_number(name) for name in names) and names != tuple(str(i) for i in range(len(names))):
        raise BadInput(
            f"{place} should hold the column names, but holds only numbers.",
            "Add a first line with a name for each column.",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _separator_line(text: str) -> tuple[int, str]:
    """Excel's `sep=;` in front of the column names: how many lines it takes, and the separator."""
    line = text.split("\n", 1)[0].strip().strip('"')
    return (1, line[4]) if line.lower().startswith("sep=") and len(line) == len("sep=;") else (0, "")
