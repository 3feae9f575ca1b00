"""CSV as people write it: encodings, separators, quotes, and what is refused with a line number."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.data import csv_blocks
from appliance.data.options import ImportOptions
from appliance.data.snapshot import import_table
from appliance.data.types import Kind

Load = Callable[..., Any]
Refused = Callable[..., Any]

ARABIC = "المدينة,السعر\nدبي,10\nأبوظبي,12\nالشارقة,9\nدبي,11\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(separator: str, end: str, load: Load) -> None:
    lines = ["name", "size", "note"], ["a", "1", f'"x{separator}y"'], ["b", "2", '"two""s"'], ["c", "3", ""]
    done = load(end.join(separator.join(line) for line in lines))
    assert done.frame.rows() == [("a", 1, f"x{separator}y"), ("b", 2, 'two"s'), ("c", 3, None)]
    assert done.kinds == {"name": Kind.CATEGORICAL, "size": Kind.INTEGER, "note": Kind.CATEGORICAL}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "windows-1256"]
)
def test_arabic_in_every_encoding(encoding: str, load: Load) -> None:
    done = load(ARABIC.encode(encoding))
    assert done.frame["المدينة"].to_list() == ["دبي", "أبوظبي", "الشارقة", "دبي"]
    assert done.frame["السعر"].to_list() == [10, 12, 9, 11]
    assert ("Windows-1256 (Arabic)" in done.notes) == (encoding == "windows-1256")


def test_western_accents_in_windows_1252(load: Load) -> None:
    done = load("café;prix €\nMünchen;1\nSão Tomé;2\n".encode("windows-1252"))
    assert done.frame.columns == ["café", "prix €"]
    assert done.frame["café"].to_list() == ["München", "São Tomé"]
    assert "Windows-1252" in done.notes


def test_an_encoding_that_shows_only_deep_in_the_file(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 1 << 19)
    text = "city,n\n" + "Dubai,1\n" * 100_000 + "دبي وأبوظبي,2\n"
    done = load(text.encode("windows-1256"))
    assert done.table.rows == 100_001
    assert done.frame["city"][-1] == "دبي وأبوظبي"
    assert "Windows-1256" in done.notes


def test_a_wrong_encoding_is_told_with_its_line(refused: Refused) -> None:
    error = refused("a,b\n1,2\n3,é\n".encode("windows-1252"), encoding="utf-8")
    assert error.message == "Line 3: a character that is not utf-8."
    assert "--encoding" in error.hint


def test_excel_says_its_separator_in_the_first_line(load: Load) -> None:
    done = load("sep=;\na;b,c\n1;2\n3;4\n")
    assert done.frame.columns == ["a", "b,c"]
    assert done.frame.rows() == [(1, 2), (3, 4)]


def test_blank_lines_are_no_rows_and_lines_are_still_counted(load: Load, refused: Refused) -> None:
    assert load("a,b\n1,2\n\n3,4\n   \n\n").frame.rows() == [(1, 2), (3, 4)]
    assert refused("a,b\n1,2\n\n3,4,5\n").message == "Line 4 has 3 values, but there are 2 columns."
    assert load("a\n1\n\n2\n").frame["a"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "Line 3 has 1 value, but there are 2 columns."),
        ("a,b\n1,2,3\n", "Line 2 has 3 values, but there are 2 columns."),
        ("a,b\n1,2\n3,4,5\n6\n", "Line 3 has 3 values, but there are 2 columns."),
        ('a,b\n"x\ny",2\n3\n', "Line 4 has 1 value, but there are 2 columns."),
        ('a,b\n1,2\n3,"four\n5,6\n', "Line 3: a quotation mark is opened and never closed."),
        ('a,b\n1,2\n3,5" pipe\n', "Line 3: a quotation mark in the middle of a value."),
        ('a,b\n1,"x"y\n', "Line 2: a quotation mark in the middle of a value."),
        ('"a,b\n1,2\n', "Line 1: a quotation mark is opened and never closed."),
        ("a,b,a\n1,2,3\n", "Line 1: two columns are called 'a' (columns 1 and 3)."),
        ("a, a \n1,2\n", "Line 1: two columns are called 'a' (columns 1 and 2)."),
        ("\n\na,b,b\n1,2,3\n", "Line 3: two columns are called 'b' (columns 2 and 3)."),
        (",a,b\n0,1,2\n", "Line 1: column 1 has no name."),
        ("a,,b\n0,1,2\n", "Line 1: column 2 has no name."),
        (
            "1.5,2,x\n1,2,3\n".replace("x", "9"),
            "Line 1 should hold the column names, but holds only numbers.",
        ),
        ("a,b\n", "'table.csv' has column names but no rows."),
        ("a,b", "'table.csv' has column names but no rows."),
        ("", "'table.csv' is empty."),
        ("\n\n\n", "'table.csv' is empty."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str, refused: Refused) -> None:
    assert refused(text).message == message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "is a PNG picture, not a table"),
        (b"PK\x03\x04" + bytes(500), "is a zip archive, not a table"),
        (b"\x1f\x8b\x08" + bytes(500), "is a gzip archive, not a table"),
        (b"%PDF-1.7\n" + bytes(500), "is a PDF document, not a table"),
        (b"<!DOCTYPE html>\n<html><body>x</body></html>", "is a web page, not a table"),
        (bytes(range(256)) * 20, "is not a table of text"),
        (b"a,b\n1,2\n" * 50_000 + b"\x00\x01,3\n", "Line 100001: this is not text."),
    ],
)
def test_something_else_called_csv(content: bytes, says: str, refused: Refused) -> None:
    assert says in refused(content).message


def test_a_quote_left_open_in_a_large_file_takes_no_memory(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 1 << 16)
    monkeypatch.setattr(csv_blocks, "RECORD_LIMIT", 1 << 18)
    text = "a,b\n" + "1,2\n" * 1000 + '3,"4\n' + "5,6\n" * 500_000
    assert refused(text).message == "Line 1002: a quotation mark is opened and never closed."


def test_a_broken_line_far_down_has_the_right_number(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 1 << 14)
    text = 'a,b\n"two\nlines",1\n' + "x,2\n" * 20_000 + "x\n"
    assert refused(text).message == "Line 20004 has 1 value, but there are 2 columns."
    text = 'a,b\n"two\nlines",1\n' + "x,2\n" * 20_000 + "x,two\n"
    assert "'two' in line 20004" in refused(text).message


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=20), block=st.integers(5, 60))
def test_whatever_a_csv_writer_writes_comes_back(
    rows: list[tuple[str, str, str]], block: int, load: Load
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b", "c"), *rows])
    kinds = {"a": Kind.CATEGORICAL, "b": Kind.CATEGORICAL, "c": Kind.CATEGORICAL}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK", block)
        done = load(buffer.getvalue(), types=kinds, separator=",", encoding="utf-8", missing=(),
                    confirm_personal=("*",))  # fmt: skip
    ends = str.maketrans({"\r": "\n"})
    expected = [tuple(v.replace("\r\n", "\n").translate(ends).strip() or None for v in row) for row in rows]
    found = [
        tuple(value if value is None else value.strip() or None for value in row) for row in done.frame.rows()
    ]
    assert found == expected


def test_progress_runs_from_checking_to_storing(load: Load) -> None:
    done = load("a,b\n1,2\n")
    assert [what for _, what in done.progress] == ["checking", "storing"]
    assert done.progress[-1][0] == 1.0


def test_a_chunk_has_a_limit(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.data.snapshot.CHUNK_LIMIT", 2000)
    done = load("a,b\n" + "".join(f"{i * 7919 % 10_007},{i}\n" for i in range(3000)))
    assert len(done.chunks) > 1
    assert max(map(len, done.chunks)) <= 2000
    assert done.frame["b"].to_list() == list(range(3000))


class Trickle(io.BytesIO):
    """A reader that gives less than it is asked for, as one that opens sealed parts may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 1000) if size is not None and size >= 0 else -1)


@pytest.mark.parametrize(("name", "line"), [("t.csv", "{},{}\n"), ("t.jsonl", '{{"a": {}, "b": {}}}\n')])
def test_a_source_that_gives_little_at_a_time_makes_no_small_chunks(name: str, line: str) -> None:
    text = ("a,b\n" if name == "t.csv" else "") + "".join(line.format(i, i % 7) for i in range(20_000))
    chunks: list[bytes] = []
    done = import_table(Trickle(text.encode()), name, ImportOptions(), chunks.append, lambda _s, _w: None)
    assert (done.rows, len(chunks)) == (20_000, 1)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Five times the rows may not take much more: the whole process, in a child of its own."""
    code = (
        "import sys; from appliance.data import csv_blocks; csv_blocks.BLOCK = 1 << 20;"
        "from appliance.data.snapshot import import_table;"
        "from appliance.data.options import ImportOptions; source = open(sys.argv[1], 'rb');"
        "import_table(source, 't.csv', ImportOptions(), lambda chunk: None, lambda share, what: None);"
        # not ru_maxrss, which begins with what the process was before exec: this test's own memory
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    line = "".join(f'{i * 7919 % 1000 / 8},{i},word{i % 9},"a, b {i % 1000}"\n' for i in range(20_000))
    peaks = []
    for times in (8, 40):
        path = tmp_path / f"{times}.csv"
        path.write_text("x,i,w,q\n" + line * times)
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, check=True, text=True
        )
        peaks.append(int(done.stdout))
        path.unlink()
    assert peaks[1] < 1.25 * peaks[0]
    assert peaks[1] < 400_000  # KiB
