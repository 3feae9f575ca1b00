"""The profile says what is in the table, however many pieces it came in."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from appliance.data import csv_blocks
from appliance.data import profile as profiles
from appliance.data.counting import DistinctCount, FrequentValues

Load = Callable[..., Any]


def test_a_profile_is_what_numpy_says(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 2000)
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, 3000).round(3)
    words = rng.choice(["a", "b", "c"], 3000, p=[0.6, 0.3, 0.1])
    text = "x,w,i\n" + "".join(
        f"{'' if index % 10 == 0 else value},{word},{index % 7}\n"
        for index, (value, word) in enumerate(zip(values, words, strict=True))
    )
    done = load(text)
    assert len(done.chunks) > 5
    body = json.loads(json.dumps(done.table.profile))
    assert body["rows"] == 3000
    x, w, i = body["columns"]
    known = np.delete(values, np.arange(0, 3000, 10))
    assert (x["count"], x["missing"]) == (2700, 300)
    assert x["distinct"] == len(np.unique(known))
    assert x["distinct_exact"] is True
    assert x["mean"] == pytest.approx(known.mean())
    assert x["std"] == pytest.approx(known.std(ddof=1))
    assert (x["min"], x["max"]) == (known.min(), known.max())
    for share, value in x["quantiles"].items():
        assert value == pytest.approx(np.quantile(known, float(share)))
    counts, edges = np.histogram(known, 20)
    assert x["histogram"]["counts"] == counts.tolist()
    assert x["histogram"]["edges"] == pytest.approx(edges.tolist())
    assert w["top"] == [[word, int((words == word).sum())] for word in "abc"]
    assert (w["distinct"], w["mean"], w["histogram"]) == (3, None, None)
    assert (i["min"], i["max"], i["distinct"]) == (0, 6, 7)
    assert isinstance(i["max"], int)


def test_dates_truths_and_constants(load: Load) -> None:
    done = load("d,t,c\n2024-01-01,true,5\n2024-01-03,false,5\n2024-01-02,true,5\n")
    d, t, c = done.table.profile["columns"]
    assert (d["min"], d["max"], d["mean"]) == ("2024-01-01T00:00:00", "2024-01-03T00:00:00", None)
    assert d["histogram"]["edges"][0] == "2024-01-01T00:00:00"
    assert sum(d["histogram"]["counts"]) == 3
    assert t["top"] == [["true", 2], ["false", 1]]
    assert c["histogram"] == {"edges": [5, 5], "counts": [3]}
    assert c["std"] == 0.0


def test_quantiles_of_a_long_table_come_from_a_fair_sample(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK", 1 << 14)
    monkeypatch.setattr(profiles, "_SAMPLE_ROWS", 2000)
    done = load("x,y\n" + "".join(f"{i}.5,1\n" for i in range(40_000)))
    quantiles = done.table.profile["columns"][0]["quantiles"]
    assert quantiles["0.5"] == pytest.approx(20_000, rel=0.1)
    assert quantiles["0.95"] == pytest.approx(38_000, rel=0.05)


def test_huge_numbers_do_not_break_the_profile(load: Load) -> None:
    x = load("x,y\n1e300,1\n-1e300,2\n1e200,3\n").table.profile["columns"][0]
    assert x["std"] is None or math.isfinite(x["std"])
    json.dumps(x, allow_nan=False)


@pytest.mark.parametrize("count", [10, 16_000, 100_000, 400_000])
def test_distinct_values_are_counted_within_a_few_percent(count: int) -> None:
    for values in (
        pl.Series(np.arange(count)),
        pl.Series(np.arange(count).astype(str)),
        pl.Series(np.arange(count) / 7),
    ):
        counter = DistinctCount()
        for start in range(0, count, 30_000):
            counter.add(values[start : start + 30_000])
            counter.add(values[:1000])
        assert counter.exact == (count < 16_384)
        assert counter.count() == (count if counter.exact else pytest.approx(count, rel=0.04))


def test_frequent_values_survive_a_flood_of_rare_ones() -> None:
    counter = FrequentValues()
    for part in range(10):
        rare = [f"{part}-{i}" for i in range(10_000)]
        counter.add(pl.Series(["often"] * 50 + ["oftener"] * 60 + rare))
    assert not counter.exact
    assert counter.top(2) == [("oftener", 600), ("often", 500)]
