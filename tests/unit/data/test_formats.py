"""Parquet, Excel and JSON Lines: read as well as CSV, and refused as plainly."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from appliance.data import readers, typed_files
from appliance.data.snapshot import read_chunks
from appliance.data.types import Kind
from appliance.errors import Corrupted

Load = Callable[..., Any]
Refused = Callable[..., Any]
Workbook = Callable[..., bytes]


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


TYPED = pl.DataFrame(
    {
        "small": pl.Series([1, None, 3], dtype=pl.Int8),
        "big": pl.Series([2**63, 1, 2], dtype=pl.UInt64),
        "share": pl.Series([0.5, float("nan"), 2.0], dtype=pl.Float32),
        "flag": [True, None, False],
        "code": ["007", "8", "?"],
        "day": [date(2024, 1, 31), None, date(2024, 2, 1)],
        "moment": [datetime(2024, 1, 31, 10, tzinfo=UTC)] * 3,
        "group": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
    }
)


def test_parquet_keeps_its_types(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_files, "ROWS", 2)
    done = load(parquet(TYPED), "typed.parquet")
    assert done.kinds == {
        "small": Kind.INTEGER, "big": Kind.NUMBER, "share": Kind.NUMBER, "flag": Kind.BOOLEAN,
        "code": Kind.CATEGORICAL, "day": Kind.DATETIME, "moment": Kind.DATETIME, "group": Kind.CATEGORICAL,
    }  # fmt: skip
    assert len(done.chunks) == 2
    assert done.frame["small"].to_list() == [1, None, 3]
    assert done.frame["share"].to_list() == [0.5, None, 2.0]
    assert done.frame["code"].to_list() == ["007", "8", None]
    assert done.frame["day"].to_list() == [datetime(2024, 1, 31), None, datetime(2024, 2, 1)]
    assert done.frame["moment"][0] == datetime(2024, 1, 31, 10)
    formats = {column.name: column.format for column in done.table.columns}
    assert (formats["day"], formats["moment"]) == ("%Y-%m-%d", "")
    assert "'big' has whole numbers too long" in done.notes
    assert set(done.frame.dtypes) == {pl.Int64, pl.Float64, pl.Boolean, pl.String, pl.Datetime("us")}


def test_parquet_columns_can_be_given_another_kind(load: Load) -> None:
    done = load(parquet(TYPED), "t.parquet", types={"small": Kind.CATEGORICAL, "flag": Kind.CATEGORICAL})
    assert done.frame["small"].to_list() == ["1", None, "3"]
    assert done.frame["flag"].to_list() == ["true", None, "false"]


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pl.DataFrame({"a": [[1, 2]], "b": [1]}), "'a' holds list values"),
        (pl.DataFrame({"a": [{"x": 1}], "b": [1]}), "'a' holds struct values"),
        (pl.DataFrame({"a": [1.0, float("inf")]}), "not finite: inf in row 2"),
    ],
)
def test_parquet_values_that_are_none(frame: pl.DataFrame, says: str, refused: Refused) -> None:
    assert says in refused(parquet(frame), "a.parquet").message


def test_damaged_parquet(refused: Refused) -> None:
    whole = parquet(pl.DataFrame({"a": list(range(1000))}))
    middle = bytearray(whole)
    middle[-60:-20] = b"\xff" * 40
    for content in (whole[:-30], whole[: len(whole) // 2], bytes(middle), b"PAR1PAR1"):
        assert refused(content, "a.parquet").message == "'a.parquet' is a damaged or cut-off Parquet file."
    assert refused(b"a,b\n1,2\n", "a.parquet").message == "'a.parquet' is not a Parquet file."
    assert "no rows" in refused(parquet(pl.DataFrame({"a": []}, schema={"a": pl.Int64})), "a.parquet").message


def test_a_parquet_file_under_another_name_is_still_read(load: Load) -> None:
    assert load(parquet(pl.DataFrame({"a": [1]})), "a.csv").frame["a"].to_list() == [1]


def test_excel(load: Load, workbook: Workbook) -> None:
    rows = [["name", "price", "count", "sold", "ok", "mixed"]]
    rows += [["Dubai", 1.5, 3, (45322,), True, 7], ["أبوظبي", 2, 4, (45323,), False, "NA"], [None] * 6]
    done = load(workbook({"Sales": rows, "Other": [["x"], [1]]}), "book.xlsx")
    assert done.kinds == {
        "name": Kind.CATEGORICAL, "price": Kind.NUMBER, "count": Kind.INTEGER, "sold": Kind.DATETIME,
        "ok": Kind.BOOLEAN, "mixed": Kind.INTEGER,
    }  # fmt: skip
    assert done.table.rows == 2
    assert done.frame["name"].to_list() == ["Dubai", "أبوظبي"]
    assert done.frame["sold"].to_list() == [datetime(2024, 1, 31), datetime(2024, 2, 1)]
    assert done.frame["mixed"].to_list() == [7, None]
    assert "Only the sheet 'Sales' is read; there are also: Other." in done.notes
    other = load(workbook({"Sales": rows, "Other": [["x"], [1]]}), "book.xlsx", sheet="Other")
    assert other.frame.rows() == [(1,)]


def test_excel_that_is_wrong(refused: Refused, workbook: Workbook) -> None:
    book = workbook({"S": [["a", "b", "a"], [1, 2, 3]]})
    assert "Row 1: two columns are called 'a' (columns 1 and 3)." in refused(book, "b.xlsx").message
    assert "column 2 has no name" in refused(workbook({"S": [["a", None, "b"], [1, 2, 3]]}), "b.xlsx").message
    assert "has no sheet 'T'" in refused(book, "b.xlsx", sheet="T").message
    assert "is empty" in refused(workbook({"S": []}), "b.xlsx").message
    assert "no rows" in refused(workbook({"S": [["a", "b"]]}), "b.xlsx").message
    assert refused(b"a,b\n1,2\n", "b.xlsx").message == "'b.xlsx' is not an Excel workbook (.xlsx)."
    assert "damaged or protected" in refused(book[: len(book) // 2], "b.xlsx").message
    bad = [["a", "b"], *[[i, 1] for i in range(40)], ["x", 1]]
    assert "'x' in row 42" in refused(workbook({"S": bad}), "b.xlsx").message


def test_excel_rows_are_counted_as_excel_does(workbook: Workbook, refused: Refused, load: Load) -> None:
    rows = [[None], [None], ["a", "b"], *[[i, 1] for i in range(40)], ["x", 1]]
    assert "'x' in row 44" in refused(workbook({"S": rows}), "b.xlsx").message
    assert (
        "Row 3: two columns"
        in refused(workbook({"S": [[None], [None], ["a", "a"], [1, 2]]}), "b.xlsx").message
    )


def test_excel_errors_are_missing_and_said(workbook: Workbook, load: Load) -> None:
    done = load(workbook({"S": [["a", "b"], [1.5, 1], [ZeroDivisionError(), 2]]}), "b.xlsx")
    assert done.frame["a"].to_list() == [1.5, None]
    assert "1 cell is an Excel error (such as #DIV/0!), taken as missing." in done.notes


def test_json_lines(load: Load) -> None:
    text = '{"a": 1, "b": "x", "c": true}\n\n{"a": 2.5, "b": null, "d": "2024-01-31"}\n{"b": "y", "a": null}'
    done = load("\ufeff" + text, "t.jsonl")
    assert done.kinds == {
        "a": Kind.NUMBER, "b": Kind.CATEGORICAL, "c": Kind.BOOLEAN, "d": Kind.DATETIME,
    }  # fmt: skip
    assert done.frame.rows() == [
        (1.0, "x", True, None), (2.5, None, None, datetime(2024, 1, 31)), (None, "y", None, None),
    ]  # fmt: skip
    assert load(text, "no_suffix").kinds == done.kinds
    nested = '{"a": 1, "list": [1, 2]}\n{"a": 2, "list": []}\n'
    assert load(nested, "t.jsonl", drop=("list",)).frame.rows() == [(1,), (2,)]


def test_json_lines_in_many_pieces(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BLOCK", 128)
    lines = "".join(f'{{"i": {i}}}\n' for i in range(500)) + '{"i": 500, "late": "x"}\n'
    done = load(lines, "t.jsonl")
    assert done.frame["i"].to_list() == list(range(501))
    assert done.frame["late"].null_count() == 500


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n{"a": \n', "Line 2: this is not JSON"),
        ('{"a": 1}\n\n{"a": 2', "Line 3: this is not JSON"),
        ('{"a": 1}\n[1]\n', "Line 2: one object with named values"),
        ('{"a": 1}\n{"a": {"b": 1}}\n', "Line 2: 'a' holds a list or an object"),
        ('{"": 1}\n', "column 1 has no name"),
        ('{"a": 1}\n{"a ": 1}\n', "two columns are called 'a'"),
        ("   \n", "no rows"),
        ("[\n1]", "Line 1: this is not JSON"),
    ],
)
def test_json_lines_that_are_wrong(text: str, says: str, refused: Refused) -> None:
    assert says in refused(text, "t.jsonl").message


def test_the_format_option_must_fit(refused: Refused, load: Load) -> None:
    assert (
        "is a parquet file, not csv"
        in refused(parquet(pl.DataFrame({"a": [1]})), "a.csv", format="csv").message
    )
    assert load("a|b\n1|2\n", "data.bin", format="csv").frame.rows() == [(1, 2)]


def test_stored_chunks_are_read_back_in_the_order_asked_for(load: Load) -> None:
    done = load("a,b,c\n1,2,3\n4,5,6\n")
    assert [frame.rows() for frame in read_chunks(done.chunks, ["c", "a"])] == [[(3, 1), (6, 4)]]
    with pytest.raises(Corrupted):
        list(read_chunks([done.chunks[0][:-9]]))
