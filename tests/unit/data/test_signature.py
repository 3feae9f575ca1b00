"""The signature: one meaning of a row, however it arrives."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.data.signature import Column, Signature
from appliance.data.types import Kind
from appliance.errors import BadInput, BrokenRow

CITIES = ("Abu Dhabi", "Dubai", "Ras Al Khaimah", "1", "2.0", "true")
EVERY_KIND = Signature(
    (
        Column("price", Kind.NUMBER),
        Column("pieces", Kind.INTEGER),
        Column("paid", Kind.BOOLEAN),
        Column("city", Kind.CATEGORICAL, CITIES),
        Column("sold", Kind.DATETIME),
        Column("due", Kind.DATETIME, format="%d/%m/%Y"),
    ),
    target="returned",
    task="binary",
    labels=("no", "yes"),
)
NUMBERS = Signature(
    (Column("a", Kind.NUMBER), Column("b", Kind.INTEGER), Column("c", Kind.NUMBER)), "y", "regression"
)

finite = st.floats(min_value=-3.4e38, max_value=3.4e38) | st.integers(-(10**38), 10**38)
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=4)), timezone(timedelta(hours=-9))])
iso = st.builds(lambda moment, zone: moment.replace(tzinfo=zone).isoformat(), moments, zones)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategy | st.none() | st.just(math.nan)


rows_of_every_kind = st.fixed_dictionaries(
    {},
    optional={
        "price": optional(finite),
        "pieces": optional(st.integers(-(10**20), 10**20) | st.integers(-(2**53), 2**53).map(float)),
        "paid": optional(st.booleans() | st.sampled_from([0, 1, 0.0, 1.0])),
        "city": optional(st.sampled_from(CITIES) | st.text(max_size=5) | finite | st.booleans()),
        "sold": optional(iso | moments | moments.map(datetime.date)),
        "due": optional(iso | st.dates().map(lambda day: f"{day.day}/{day.month:02}/{day.year:04}")),
    },
)
rows_of_numbers = st.fixed_dictionaries(
    {"a": finite, "b": st.integers(-(10**20), 10**20)}, optional={"c": optional(finite)}
)


def as_columns(signature: Signature, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {column.name: [row.get(column.name) for row in rows] for column in signature.columns}


@pytest.mark.parametrize(
    ("signature", "rows"), [(EVERY_KIND, rows_of_every_kind), (NUMBERS, rows_of_numbers)]
)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_rows_one_by_one_all_at_once_and_by_column_are_the_same_numbers(
    signature: Signature, rows: st.SearchStrategy[dict[str, Any]], data: st.DataObject
) -> None:
    table = data.draw(st.lists(rows, min_size=1, max_size=6))
    together = signature.encode(table)
    assert together.dtype == np.float32
    assert together.shape == (len(table), signature.width)
    assert together.flags.c_contiguous
    single = [signature.encode([row]) for row in table]
    assert all(one.dtype == np.float32 and one.shape == (1, signature.width) for one in single)
    np.testing.assert_array_equal(np.concatenate(single), together)
    np.testing.assert_array_equal(signature.encode_columns(as_columns(signature, table)), together)
    assert not np.isinf(together).any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(list(Kind)[:5]), min_size=1, max_size=6), st.lists(st.text(), unique=True))
def test_json_round_trip_is_exact_and_encodes_the_same(kinds: list[Kind], words: list[str]) -> None:
    columns = tuple(
        Column(f"c{index}", kind, tuple(words) if kind is Kind.CATEGORICAL else ())
        for index, kind in enumerate(kinds)
    )
    signature = Signature(columns, "target", "multiclass", ("a", "b", "c"))
    again = Signature.from_json(json.loads(json.dumps(signature.as_json())))
    assert again == signature
    assert again.as_json() == signature.as_json()
    assert again.features == signature.features


def test_features_name_every_dimension() -> None:
    names = [feature.name for feature in EVERY_KIND.features]
    assert names[:4] == ["price", "pieces", "paid", "city"]
    assert names[4:11] == [
        "sold.year", "sold.month", "sold.day", "sold.weekday", "sold.day_of_year", "sold.hour", "sold.minute",
    ]  # fmt: skip
    assert names[11:] == ["due.year", "due.month", "due.day", "due.weekday", "due.day_of_year"]
    assert EVERY_KIND.width == 16
    assert EVERY_KIND.features[3].cardinality == len(CITIES)


def test_what_the_numbers_mean() -> None:
    row = {
        "price": 2.5, "pieces": 3, "paid": True, "city": "Dubai",
        "sold": "2024-02-29T23:15:00+04:00", "due": "1/3/2024",
    }  # fmt: skip
    encoded = EVERY_KIND.encode([row])[0].tolist()
    assert encoded == [2.5, 3, 1, 1, 2024, 2, 29, 3, 60, 19, 15, 2024, 3, 1, 4, 61]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Dubai", 1), (" Dubai ", 1), ("Sharjah", 6), ("", 6), (1, 3), (1.0, 3), ("1", 3), (2, 4), (2.0, 4),
        (True, 5), ("true", 5), (False, 6), (7, 6), (None, None), (math.nan, None), (np.float32("nan"), None),
    ],
)  # fmt: skip
def test_a_category_is_found_by_its_plain_form(value: Any, code: float | None) -> None:
    got = EVERY_KIND.encode([{"city": value}])[0, 3]
    assert math.isnan(got) if code is None else got == code


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("price", "12", "a number"), ("price", True, "a number"), ("price", [1], "a number"),
        ("price", math.inf, "a finite number"), ("price", 10**400, "a finite number"),
        ("price", 1e39, "a finite number"), ("price", -math.inf, "a finite number"),
        ("pieces", 1.5, "a whole number"), ("pieces", "1", "a whole number"), ("pieces", False, "a whole"),
        ("paid", "true", "true or false"), ("paid", 2, "true or false"), ("paid", "yes", "true or false"),
        ("city", ["Dubai"], "a word"), ("city", {"a": 1}, "a word or a code"), ("city", b"", "a word"),
        ("sold", "yesterday", "a date"), ("sold", 20240101, "a date"), ("sold", "31/01/2024", "a date"),
        ("sold", True, "a date"), ("due", "30/02/2024", "a date such as 2026-01-31 or in the form %d/%m/%Y"),
        ("due", "1/13/2024", "a date"), ("sold", "0001-01-01T00:00:00+04:00", "a date"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_column_on_every_road(column: str, value: Any, says: str) -> None:
    good: dict[str, Any] = {"price": 1.0, "pieces": 1, "paid": True, "city": "Dubai"}
    bad = {**good, column: value}
    with pytest.raises(BrokenRow, match=says) as one:
        EVERY_KIND.encode([bad])
    assert one.value.column == column
    assert f"'{column}'" in one.value.message
    assert one.value.hint
    with pytest.raises(BrokenRow, match=says) as many:
        EVERY_KIND.encode([good, bad])
    assert many.value.column == column
    assert "in row 2" in many.value.message
    with pytest.raises(BrokenRow, match=says):
        EVERY_KIND.encode_columns({column: [value]})


@pytest.mark.parametrize(
    ("a", "b"), [(1e300, 1), (math.inf, 1), (10**400, 1), (1.0, 10**400), ("1", 1), (1.0, 1.5)]
)
def test_the_quick_numeric_road_refuses_as_the_careful_one_does(a: Any, b: Any) -> None:
    with pytest.raises(BrokenRow) as caught:
        NUMBERS.encode([{"a": a, "b": b, "c": 0.5}])
    assert caught.value.column == ("b" if a == 1.0 else "a")


def test_large_but_finite_numbers_pass_even_when_their_sum_does_not() -> None:
    encoded = NUMBERS.encode([{"a": 3.4e38, "b": 1, "c": 3.4e38}])
    assert np.isfinite(encoded).all()


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(BrokenRow, match="no column 'prise'") as caught:
        EVERY_KIND.encode([{"prise": 1.0}])
    assert caught.value.column == "prise"
    assert "'price'" in caught.value.hint
    with pytest.raises(BrokenRow, match="row 2"):
        EVERY_KIND.encode([{"price": 1.0}, {"zzz": 1.0}])
    with pytest.raises(BrokenRow, match="no column 'returned'") as target:
        EVERY_KIND.encode([{"returned": "yes"}])
    assert "predicts" in target.value.hint
    with pytest.raises(BrokenRow, match="prise"):
        EVERY_KIND.encode_columns({"prise": [1.0]})


@pytest.mark.parametrize("row", [None, 3, "price", ["price"], [1.0, 2, 3]])
def test_a_row_must_be_an_object(row: Any) -> None:
    for rows in ([row], [{"price": 1.0}, row]):
        with pytest.raises(BrokenRow, match="A row must be"):
            EVERY_KIND.encode(rows)
    with pytest.raises(BrokenRow, match="A row must be"):
        NUMBERS.encode([row])


def test_arrays_give_the_same_as_lists() -> None:
    arrays = {
        "price": np.array([1.5, math.nan], dtype=np.float32),
        "pieces": np.array([[3], [4]], dtype=np.int64),
        "paid": np.array([True, False]),
        "city": np.array(["Dubai", "Mars"]),
        "sold": np.array(["2024-02-29T23:15", "NaT"], dtype="datetime64[us]"),
        "due": np.array(["2024-03-01", "1969-12-31"], dtype="datetime64[D]"),
    }
    rows = [
        {"price": 1.5, "pieces": 3, "paid": True, "city": "Dubai", "sold": datetime(2024, 2, 29, 23, 15),
         "due": date(2024, 3, 1)},
        {"price": None, "pieces": 4, "paid": False, "city": "Mars", "due": "1969-12-31"},
    ]  # fmt: skip
    np.testing.assert_array_equal(EVERY_KIND.encode_columns(arrays), EVERY_KIND.encode(rows))
    floats = EVERY_KIND.encode_columns(
        {"city": np.array([1.0, 2.0, 9.0]), "paid": np.array([0.0, 1.0, math.nan])}
    )
    np.testing.assert_array_equal(floats[:, 3], [3, 4, 6])
    np.testing.assert_array_equal(floats[:, 2], [0, 1, math.nan])


def test_array_columns_of_the_wrong_type_are_refused() -> None:
    for column, array in [
        ("price", np.array([True])), ("price", np.array(["1"])), ("pieces", np.array([0.5])),
        ("price", np.array([math.inf])), ("price", np.array([1e300])), ("paid", np.array([2.0])),
        ("sold", np.array([1])),
    ]:  # fmt: skip
        with pytest.raises(BrokenRow) as caught:
            EVERY_KIND.encode_columns({column: array})
        assert caught.value.column == column
    with pytest.raises(BrokenRow, match="differ in length"):
        EVERY_KIND.encode_columns({"price": [1.0], "pieces": [1, 2]})


def test_no_rows_give_no_rows() -> None:
    assert EVERY_KIND.encode([]).shape == (0, 16)
    assert EVERY_KIND.encode_columns({}).shape == (0, 16)
    assert EVERY_KIND.encode([{}]).shape == (1, 16)
    assert np.isnan(EVERY_KIND.encode([{}])).all()


def test_free_text_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match="free text") as caught:
        Signature((Column("comment", Kind.TEXT),), "y", "binary").encode([{"comment": "hello"}])
    assert "--drop 'comment'" in caught.value.hint


def test_encoding_leaves_the_rows_alone() -> None:
    row = {"price": 1, "city": "Mars", "sold": None}
    before = dict(row)
    EVERY_KIND.encode([row])
    assert row == before


def test_the_inference_process_stays_slim() -> None:
    code = (
        "import sys, appliance.data.signature; "
        "print(sorted({'polars','sklearn','lightgbm','pandas','scipy','pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_deeply_nested_value_is_a_wrong_value_not_a_crash() -> None:
    nested: object = 1
    for _ in range(5000):
        nested = [nested]
    signature = Signature((Column("a", Kind.NUMBER),), "y", "regression")
    with pytest.raises(BrokenRow, match="'a' must be a number"):
        signature.encode([{"a": nested}])
