"""Import options: checked when they are made, and the same after a trip through JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.data.options import DEFAULT_MISSING, ImportOptions
from appliance.data.types import DatasetColumn, Kind
from appliance.errors import BadInput


def test_json_round_trip() -> None:
    options = ImportOptions(
        format="csv", types={"a": Kind.NUMBER}, separator="tab", encoding="windows-1256", decimal=",",
        thousands=".", dates="day-first", missing=("", "x"), drop=("b",), confirm_personal=("*",), sheet="S",
    )  # fmt: skip
    again = ImportOptions.from_json(json.loads(json.dumps(options.as_json())))
    assert again == options
    assert again.separator == "\t"
    assert ImportOptions.from_json({}) == ImportOptions()


def test_more_words_for_missing_are_added_to_the_usual_ones() -> None:
    assert ImportOptions().also_missing(["-", "?"]).missing == (*DEFAULT_MISSING, "-")


@pytest.mark.parametrize(
    ("body", "says", "hint"),
    [
        ({"seperator": ";"}, "no import option 'seperator'", "separator"),
        ({"separator": "ab"}, "'separator' of an import must be one character", ""),
        ({"separator": "a"}, "'separator'", ""),
        ({"decimal": ";"}, "'decimal'", ""),
        ({"thousands": "."}, "'thousands'", ""),
        ({"dates": "year-first"}, "'dates' of an import must be day-first or month-first", ""),
        ({"encoding": "klingon"}, "'encoding'", ""),
        ({"encoding": "base64"}, "'encoding'", ""),
        ({"format": "xls"}, "'format'", ""),
        ({"types": {"a": "float"}}, "no column kind 'float'", "number"),
        ({"types": ["a"]}, "'types'", ""),
        ({"drop": "a"}, "'drop' of an import must be a list", ""),
        ({"sheet": 1}, "'sheet'", ""),
    ],
)
def test_what_makes_no_sense_is_refused(body: dict[str, Any], says: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        ImportOptions.from_json(body)
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_dataset_columns_round_trip() -> None:
    column = DatasetColumn("when", Kind.DATETIME, "%d/%m/%Y", "")
    assert DatasetColumn.from_json(json.loads(json.dumps(column.as_json()))) == column
