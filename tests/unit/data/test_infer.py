"""What a column is: decided over the whole file, and asked where only the owner can know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from appliance.data import csv_blocks
from appliance.data.types import Kind

Load = Callable[..., Any]
Refused = Callable[..., Any]


def column(*values: str) -> str:
    return "x,y\n" + "".join(f"{value},1\n" for value in values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2", "-3"], Kind.INTEGER),
        (["0", "1", "0"], Kind.INTEGER),
        (["1", "2.5", "1e3"], Kind.NUMBER),
        ([" 1 ", "2", ""], Kind.INTEGER),
        ([".5", "1.", "-2"], Kind.NUMBER),
        (["true", "False", "TRUE"], Kind.BOOLEAN),
        (["yes", "no", "yes"], Kind.CATEGORICAL),
        (["00123", "00456", "789"], Kind.CATEGORICAL),
        (["0.5", "0", "-0.25"], Kind.NUMBER),
        (["+971501", "1", "2"], Kind.INTEGER),
        (["99999999999999999999", "1", "2"], Kind.CATEGORICAL),
        (["9223372036854775807", "1", "2"], Kind.INTEGER),
        (["1e400", "x", "2"], Kind.CATEGORICAL),
        (["a", "1", "2"], Kind.CATEGORICAL),
        (["2024-01-31", "2024-02-01"], Kind.DATETIME),
        (["2024-01-31T10:00:00Z", "2024-02-01 11:30"], Kind.DATETIME),
        (["31.12.2024", "01.01.2025"], Kind.DATETIME),
        (["31 Dec 2024", "1 Jan 2025"], Kind.DATETIME),
        (["31/12/24 10:30", "01/01/25 11:00"], Kind.DATETIME),
        (["2024", "2025"], Kind.INTEGER),
        (["1.2.3", "4.5.6"], Kind.CATEGORICAL),
    ],
)
def test_kinds(values: list[str], kind: Kind, load: Load) -> None:
    assert load(column(*values)).kinds["x"] is kind


@pytest.mark.parametrize(
    ("values", "format", "first"),
    [
        (["2024-01-31", "2024-02-01"], "%Y-%m-%d", datetime(2024, 1, 31)),
        (["2024-01-31T10:00:00+04:00", "2024-02-01T00:00:00.5Z"], "", datetime(2024, 1, 31, 6)),
        (["31/01/2024", "1/2/2024"], "%d/%m/%Y", datetime(2024, 1, 31)),
        (["1/31/2024 1:05 PM", "2/1/2024 12:00 AM"], "%m/%d/%Y %I:%M %p", datetime(2024, 1, 31, 13, 5)),
        (["31-Jan-2024", "01-Feb-2024"], "%d-%b-%Y", datetime(2024, 1, 31)),
        (["2024/01/31 10:30", "2024/02/01 11:30"], "%Y/%m/%d %H:%M", datetime(2024, 1, 31, 10, 30)),
    ],
)
def test_date_formats(values: list[str], format: str, first: datetime, load: Load) -> None:
    done = load(column(*values))
    assert done.table.columns[0].format == format
    assert done.frame["x"][0] == first


def test_dates_that_read_both_ways_are_asked_about(load: Load, refused: Refused) -> None:
    text = column("01/02/2024", "03/04/2024")
    error = refused(text)
    assert "can be read in two ways: '01/02/2024'" in error.message
    assert "--dates day-first" in error.hint
    assert "--dates month-first" in error.hint
    assert load(text, dates="day-first").frame["x"][0] == datetime(2024, 2, 1)
    assert load(text, dates="month-first").frame["x"][0] == datetime(2024, 1, 2)
    wrong = refused(column("13/02/2024", "14/02/2024"), dates="month-first")
    assert wrong.message == "The dates in 'x' are not month-first, for example '13/02/2024'."


def test_the_line_that_settles_the_dates_may_be_the_last(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 4096)
    done = load(column(*["1/2/2024"] * 5000, "12/31/2024"))
    assert done.table.columns[0].format == "%m/%d/%Y"


@pytest.mark.parametrize("bad", ["abc", "-", "1,5x", "inf", "12 AED"])
def test_nearly_all_numbers_is_asked_about(bad: str, load: Load, refused: Refused) -> None:
    values = [str(i) for i in range(40)]
    text = column(*values, f'"{bad}"')
    error = refused(text)
    assert error.column == "x"
    assert f"nearly all numbers, but 1 value is not: {bad!r} in line 42" in error.message
    assert f"--missing '{bad}'" in error.hint
    assert "--type 'x=categorical'" in error.hint
    assert load(text, missing=(bad,)).frame["x"].null_count() == 1
    assert load(text, types={"x": Kind.CATEGORICAL}).frame["x"][40] == bad


def test_half_numbers_are_categories(load: Load) -> None:
    done = load(column("1", "2", "S", "M", "L"))
    assert done.kinds["x"] is Kind.CATEGORICAL
    assert done.table.notes == []
    done = load(column("1", "2", "3", "abc"))
    assert done.kinds["x"] is Kind.CATEGORICAL
    assert done.table.notes == [
        "'x' is taken as categories: 1 of its 4 values are no numbers ('abc' in line 5)."
    ]


def test_nearly_all_dates_is_asked_about(refused: Refused) -> None:
    error = refused(column(*["2024-01-31"] * 30, "soon"))
    assert "nearly all dates, but 1 value is not: 'soon' in line 32" in error.message


def test_the_bad_value_may_come_after_thousands_of_good_ones(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 4096)
    error = refused(column(*["7"] * 5000, "seven", *["7"] * 10))
    assert "1 value is not: 'seven' in line 5002" in error.message


def test_decimal_commas_and_thousands_only_when_asked_for(load: Load) -> None:
    text = 'x;y\n"1.234,50";1\n2,25;2\n-0,5;3\n'
    plain = load(text)
    assert plain.kinds["x"] is Kind.CATEGORICAL
    assert "--decimal ," in plain.notes
    asked = load(text, decimal=",", thousands=".")
    assert asked.frame["x"].to_list() == [1234.5, 2.25, -0.5]
    thousands = 'x,y\n"1,234",1\n"12,345,678",2\n9,3\n'
    assert "--thousands ," in load(thousands).notes
    asked = load(thousands, thousands=",")
    assert asked.kinds["x"] is Kind.INTEGER
    assert asked.frame["x"].to_list() == [1234, 12_345_678, 9]


def test_a_misplaced_thousands_sign_is_no_number(refused: Refused) -> None:
    values = ['"1,5"', *['"1,500"'] * 30]
    error = refused(column(*values), thousands=",")
    assert "'1,5' in line 2" in error.message


def test_a_decimal_point_is_no_number_where_commas_are_asked_for(refused: Refused) -> None:
    error = refused("x;y\n" + "1,5;1\n" * 30 + "1.5;2\n", decimal=",")
    assert "'1.5' in line 32" in error.message


def test_codes_are_kept_as_written_and_said(load: Load) -> None:
    done = load(column("00123", "04560", "99999"))
    assert done.frame["x"].to_list() == ["00123", "04560", "99999"]
    assert "'00123'" in done.notes
    assert load(column("00123", "04560"), types={"x": Kind.INTEGER}).frame["x"].to_list() == [123, 4560]


def test_numbers_too_long_to_be_exact_are_kept_as_written(load: Load) -> None:
    done = load(column("12345678901234567890", "5"))
    assert done.frame["x"].to_list() == ["12345678901234567890", "5"]
    assert "too long" in done.notes


def test_free_text_is_text(load: Load) -> None:
    done = load(column(*[f"the parcel number {i} came very late" for i in range(30)]))
    assert done.kinds["x"] is Kind.TEXT
    few = load(column(*["the same long sentence every time"] * 30))
    assert few.kinds["x"] is Kind.CATEGORICAL


@pytest.mark.parametrize(
    ("kind", "values", "bad"),
    [
        (Kind.INTEGER, ["1", "2.5"], "'2.5' in line 3"),
        (Kind.NUMBER, ["1", "two"], "'two' in line 3"),
        (Kind.BOOLEAN, ["yes", "no", "maybe"], "'maybe' in line 4"),
        (Kind.DATETIME, ["2024-01-31", "x"], "in line 3"),
        (Kind.DATETIME, ["red", "blue"], "'red'"),
    ],
)
def test_a_kind_that_was_said_must_fit(kind: Kind, values: list[str], bad: str, refused: Refused) -> None:
    error = refused(column(*values), types={"x": kind})
    assert f"not all of kind {kind.value}" in error.message
    assert bad in error.message


def test_a_kind_that_was_said_is_used(load: Load) -> None:
    assert load(column("yes", "no", ""), types={"x": Kind.BOOLEAN}).frame["x"].to_list() == [
        True,
        False,
        None,
    ]
    assert load(column("1", "2"), types={"x": Kind.CATEGORICAL}).frame["x"].to_list() == ["1", "2"]
    assert load(column("1", "2"), types={"x": Kind.NUMBER}).frame["x"].to_list() == [1.0, 2.0]


def test_an_empty_column_is_said(load: Load) -> None:
    done = load("x,y\n,1\nNA,2\n")
    assert "'x' has no values at all." in done.notes
    assert done.frame["x"].null_count() == 2


def test_unknown_columns_in_the_options_name_the_nearest(refused: Refused) -> None:
    for options in (
        {"types": {"prise": Kind.NUMBER}},
        {"drop": ("prise",)},
        {"confirm_personal": ("prise",)},
    ):
        error = refused("price,b\n1,2\n", **options)
        assert error.message == "The file has no column 'prise'."
        assert "'price'" in error.hint


def test_dropped_columns_are_gone_and_not_judged(load: Load, refused: Refused) -> None:
    text = "when,b\n01/02/2024,2\n"
    assert load(text, drop=("when",)).frame.columns == ["b"]
    assert "All columns are dropped" in refused("a\n1\n", drop=("a",)).message
