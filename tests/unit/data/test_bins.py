"""Counting in blocks gives what counting value by value gives, whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.data.bins import Bins, Reference, Table
from appliance.monitoring import counted as rooms
from appliance.monitoring.counted import Counted

NUMBER = Bins("a", "a", "number", (-1.0, 0.0, 2.5), (), (0,) * 4)
CODES = Bins("b", "b", "categorical", (), (0, 2, 5), (0,) * 4)
CONSTANT = Bins("c", "c", "number", (), (), (0,))
NO_CODES = Bins("d", "d", "categorical", (), (), (0,))
ALL = (NUMBER, CODES, CONSTANT, NO_CODES)

values = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([-1.0, 0.0, 2.0, 2.5, 5.0, float("nan")]))
tables = st.integers(0, 40).flatmap(
    lambda rows: arrays.arrays(np.float32, (rows, len(ALL)), elements=st.just(0.0)).flatmap(
        lambda _: st.lists(st.tuples(*[values] * len(ALL)), min_size=rows, max_size=rows)
    )
)


def one_by_one(bins: Bins, column: np.ndarray) -> list[int]:
    counts = [0] * bins.size
    for value in column:
        if np.isnan(value):
            counts[-1] += 1
        elif bins.categorical:
            counts[bins.codes.index(int(value)) if value in bins.codes else len(bins.codes)] += 1
        else:
            counts[int(np.searchsorted(np.array(bins.edges, np.float32), value, side="right"))] += 1
    return counts


@settings(max_examples=200, deadline=None)
@given(rows=tables)
def test_a_block_is_counted_as_its_values_are(rows: list[tuple[float, ...]]) -> None:
    x = np.array(rows, np.float32).reshape(len(rows), len(ALL))
    x[:, 1] = np.floor(np.abs(x[:, 1]))
    x[:, 3] = np.floor(np.abs(x[:, 3]))
    table = Table(ALL)
    found = [counts.tolist() for counts in table.split(table.count(x))]
    assert found == [one_by_one(bins, x[:, i]) for i, bins in enumerate(ALL)]


def test_more_rows_than_a_small_counter_holds() -> None:
    x = np.full((200_000, 1), 1.0, np.float32)
    assert Table([NUMBER]).count(x).tolist() == [0, 0, 200_000, 0, 0]


def test_only_one_kind_of_column() -> None:
    assert Table([CODES]).count(np.array([[2], [9], [np.nan]], np.float32)).tolist() == [0, 1, 0, 1, 1]
    assert Table([CONSTANT]).count(np.zeros((3, 1), np.float32)).tolist() == [3, 0]
    assert Table([]).count(np.zeros((3, 0), np.float32)).tolist() == []


def test_rows_put_aside_are_counted_once() -> None:
    score = Bins("1", "", "number", (0.5,), (), (0, 0))
    reference = Reference(10, (NUMBER,), (score,))
    counted = Counted(reference)
    for value in range(70):
        counted.add(np.array([[value]], np.float32), np.array([[0.9, 0.1]], np.float32))
    assert counted.rows == 0
    counted.settle()
    counted.settle()
    assert counted.rows == 70
    assert counted.features.tolist() == [0, 0, 3, 67, 0]
    assert counted.score.tolist() == [70, 0, 0]  # of a yes/no model the second output is counted
    other = Counted(reference)
    other.add(np.array([[np.nan]], np.float32), np.array([[0.1, 0.9]], np.float32))
    counted.merge(other)
    assert (counted.rows, counted.features[-1], counted.score.tolist()) == (71, 1, [70, 1, 0])


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MOST", 400)
    counted = Counted(Reference(10, (NUMBER,), ()))
    for rows in (1, 50_000):  # a large batch is kept as it is, small ones together
        for _ in range(1000 // rows + 1):
            counted.add(np.zeros((rows, 1), np.float32), np.zeros((rows, 3), np.float32))
    assert counted.rows > 50_900
    counted.settle()
    assert counted.rows == 51_001


def test_it_comes_back_from_json() -> None:
    reference = Reference(7, ALL, (Bins("0", "", "number", (1.5,), (), (3, 4), 2),))
    again = Reference.from_json(reference.as_json())
    assert again == reference
    assert again.outputs == [0]
