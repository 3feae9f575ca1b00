"""The real tables import as a person would expect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.data.types import Kind

SharedData = Callable[[str], Path]
Load = Callable[..., Any]


def test_adult_takes_the_question_mark_as_missing(shared_data: SharedData, load: Load) -> None:
    done = load(shared_data("adult.csv"))
    assert done.table.rows == 48_842
    assert done.kinds["age"] is Kind.INTEGER
    assert done.kinds["workclass"] is Kind.CATEGORICAL
    missing = {column["name"]: column["missing"] for column in done.table.profile["columns"]}
    assert missing["workclass"] == 2799
    assert missing["native-country"] == 857
    assert missing["age"] == 0
    assert done.table.notes == [
        "'?' is taken as missing (6465 values in workclass, occupation, native-country)."
    ]
    assert "?" not in done.frame["workclass"].unique().to_list()


def test_telco_blanks_leave_total_charges_a_number(shared_data: SharedData, load: Load) -> None:
    done = load(shared_data("telco_churn.csv"))
    assert done.kinds["TotalCharges"] is Kind.NUMBER
    assert done.frame["TotalCharges"].null_count() == 11
    assert "Blanks are taken as missing (11 values in TotalCharges)." in done.table.notes
    assert done.kinds["Partner"] is Kind.CATEGORICAL
    assert done.kinds["SeniorCitizen"] is Kind.INTEGER
    assert all(column.personal == "" for column in done.table.columns)


def test_bank_marketing_has_semicolons_quotes_and_windows_line_ends(
    shared_data: SharedData, load: Load
) -> None:
    done = load(shared_data("bank_marketing.csv"))
    assert done.table.rows == 41_188
    assert "The values are separated by ';'." in done.table.notes
    assert done.frame["y"].unique().sort().to_list() == ["no", "yes"]
    assert done.kinds["emp.var.rate"] is Kind.NUMBER
    assert done.frame["age"].sum() == 1_648_299 or done.frame["age"].min() == 17


def test_bike_sharing_dates_are_read_month_first(shared_data: SharedData, load: Load) -> None:
    done = load(shared_data("bike_sharing_hour.csv"))
    column = next(column for column in done.table.columns if column.name == "dteday")
    assert (column.kind, column.format) == (Kind.DATETIME, "%m/%d/%Y")
    assert done.frame["dteday"][-1] == datetime(2012, 12, 31)
    assert "month-first" in done.notes


def test_ai4i_has_a_mark_in_front_and_names_with_brackets(shared_data: SharedData, load: Load) -> None:
    done = load(shared_data("ai4i2020.csv"))
    assert list(done.kinds)[:4] == ["UDI", "Product ID", "Type", "Air temperature [K]"]
    assert done.kinds["Air temperature [K]"] is Kind.NUMBER


def test_electricity_and_german_credit_need_no_notes(shared_data: SharedData, load: Load) -> None:
    assert load(shared_data("electricity.csv")).table.notes == []
    german = load(shared_data("german_credit.csv"))
    assert german.table.notes == []
    assert german.kinds["telephone"] is Kind.CATEGORICAL


@pytest.mark.parametrize("name", ["adult.csv", "bank_marketing.csv"])
def test_a_real_table_cut_off_in_the_middle_is_refused(
    name: str, shared_data: SharedData, refused: Callable[..., Any]
) -> None:
    whole = shared_data(name).read_bytes()
    cut = whole.rfind(b"," if name == "adult.csv" else b";", 0, len(whole) // 2)
    error = refused(whole[: cut - 20], name)
    line = whole[: cut - 20].count(b"\n") + 1
    assert f"Line {line}" in error.message
