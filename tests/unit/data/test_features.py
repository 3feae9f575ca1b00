"""What a model reads: identifiers and constants left out, categories learned, text refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from appliance.data.features import build_signature, encode_frame
from appliance.data.signature import Signature
from appliance.data.types import DatasetColumn, Kind
from appliance.errors import BadInput, BrokenRow

ROWS = 60


def table() -> tuple[list[DatasetColumn], pl.DataFrame]:
    frame = pl.DataFrame(
        {
            "row": np.arange(1, ROWS + 1),
            "orderID": (np.arange(ROWS) * 7919) % 100_003 + 5000,
            "token": [f"K{i}" for i in range(ROWS)],
            "same": [3.5] * ROWS,
            "nothing": pl.Series([None] * ROWS, dtype=pl.String),
            "size": ["S", "M", None] * (ROWS // 3),
            "age": [20 + i % 30 for i in range(ROWS)],
            "member": [True, None, False] * (ROWS // 3),
            "sold": [datetime(2024, 1, 1 + i % 28) for i in range(ROWS)],
            "y": ["no", "yes"] * (ROWS // 2),
        }
    )
    kinds = [
        Kind.INTEGER, Kind.INTEGER, Kind.CATEGORICAL, Kind.NUMBER, Kind.CATEGORICAL, Kind.CATEGORICAL,
        Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME, Kind.CATEGORICAL,
    ]  # fmt: skip
    formats = ["%Y-%m-%d" if kind is Kind.DATETIME else "" for kind in kinds]
    columns = [DatasetColumn(n, k, f) for n, k, f in zip(frame.columns, kinds, formats, strict=True)]
    return columns, frame


def test_what_only_tells_rows_apart_is_left_out_with_a_note() -> None:
    columns, frame = table()
    signature, notes = build_signature(columns, [frame[:30], frame[30:]], "y", "binary", ("no", "yes"))
    assert [column.name for column in signature.columns] == ["size", "age", "member", "sold"]
    assert signature.columns[0].categories == ("M", "S")
    assert signature.columns[3].format == "%Y-%m-%d"
    assert (signature.target, signature.task, signature.labels) == ("y", "binary", ("no", "yes"))
    assert [note.split(":")[0] for note in notes] == [
        f"'{name}' is left out" for name in ("row", "orderID", "token", "same", "nothing")
    ]
    assert "numbers the rows" in notes[0]
    assert "identifier" in notes[1]


def test_a_frame_encodes_exactly_as_its_rows_do() -> None:
    columns, frame = table()
    signature, _ = build_signature(columns, [frame], "y", "binary", ("no", "yes"), drop=["token"])
    rows = [
        {**row, "sold": row["sold"].isoformat()}
        for row in frame.select([column.name for column in signature.columns]).to_dicts()
    ]
    encoded = encode_frame(signature, frame)
    np.testing.assert_array_equal(encoded, signature.encode(rows))
    np.testing.assert_array_equal(encoded, np.concatenate([signature.encode([row]) for row in rows]))


def test_the_255_most_frequent_categories_are_kept() -> None:
    values = [f"v{i:04}" for i in range(400) for _ in range(3 if i % 2 else 2)]
    frame = pl.DataFrame({"c": values, "y": ["a", "b"] * (len(values) // 2)})
    columns = [DatasetColumn("c", Kind.CATEGORICAL), DatasetColumn("y", Kind.CATEGORICAL)]
    signature, notes = build_signature(columns, [frame], "y", "binary", ("a", "b"))
    kept = signature.columns[0].categories
    assert len(kept) == 255
    assert sum(int(word[1:]) % 2 for word in kept) == 200
    assert "400 different values" in notes[0]
    assert signature.encode([{"c": "v9999"}])[0, 0] == 255


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (list(range(2000, 2040)), True),  # years, all different
        (list(range(1, 41)), False),
        (list(range(40)), False),
        ([i * 1000 for i in range(40)], True),
        (list(range(1, 11)), True),  # ten rows prove nothing
        ([1, *range(1, 40)], True),
    ],
)
def test_running_numbers(values: list[int], kept: bool) -> None:
    frame = pl.DataFrame(
        {"n": values, "other": [i % 3 for i in range(len(values))], "y": [0.5] * len(values)}
    )
    columns = [DatasetColumn(name, Kind.INTEGER) for name in frame.columns]
    signature, _ = build_signature(columns, [frame], "y", "regression", ())
    assert ("n" in [column.name for column in signature.columns]) is kept


def test_free_text_unknown_targets_and_empty_hands() -> None:
    columns = [DatasetColumn("note", Kind.TEXT), DatasetColumn("y", Kind.INTEGER)]
    frame = pl.DataFrame({"note": ["a b"], "y": [1]})
    with pytest.raises(BadInput, match="'note' is free text") as text:
        build_signature(columns, [frame], "y", "regression", ())
    assert "--drop 'note'" in text.value.hint
    assert "--type 'note=categorical'" in text.value.hint
    with pytest.raises(BadInput, match="No column is left"):
        build_signature(columns, [frame], "y", "regression", (), drop=["note"])
    with pytest.raises(BadInput, match="no column 'nota'") as unknown:
        build_signature(columns, [frame], "nota", "regression", ())
    assert "'note'" in unknown.value.hint


def test_a_table_without_a_needed_column_is_refused() -> None:
    columns, frame = table()
    signature, _ = build_signature(columns, [frame], "y", "binary", ("no", "yes"))
    with pytest.raises(BrokenRow, match="no column 'age'"):
        encode_frame(signature, frame.drop("age"))


def test_telco_leaves_the_customer_id_out(
    shared_data: Callable[[str], Path], load: Callable[..., Any]
) -> None:
    done = load(shared_data("telco_churn.csv"))
    signature, notes = build_signature(done.table.columns, [done.frame], "Churn", "binary", ("No", "Yes"))
    assert len(signature.columns) == 19
    assert any(note.startswith("'customerID' is left out") for note in notes)
    again = Signature.from_json(signature.as_json())
    np.testing.assert_array_equal(encode_frame(again, done.frame), encode_frame(signature, done.frame))


def test_machine_data_leaves_both_numbers_of_a_row_out(
    shared_data: Callable[[str], Path], load: Callable[..., Any]
) -> None:
    done = load(shared_data("ai4i2020.csv"))
    keep = np.random.default_rng(0).random(done.table.rows) < 0.8
    signature, _ = build_signature(
        done.table.columns, [done.frame.filter(pl.Series(keep))], "Machine failure", "binary", ("0", "1")
    )
    assert [column.name for column in signature.columns][:2] == ["Type", "Air temperature [K]"]
