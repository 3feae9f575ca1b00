"""The contest: only sound runtimes run it, the fastest wins, and it says why others did not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.runtimes import CannotLoad, open_runtime
from appliance.runtimes.measure import Entry, best, contest, difference, one_row_latency, prove


@pytest.fixture(scope="module")
def reference(graphs):
    return graphs.Reference()


def test_all_sound(reference):
    x = reference.rows(12, missing=0.2)
    entries = contest(reference.graph(), x, reference.answer(x), 1e-5)
    assert [entry.runtime for entry in entries] == ["onnxruntime", "openvino"]
    for entry in entries:
        assert entry.ok
        assert entry.why == ""
        assert entry.version
        assert 0 < entry.p50_us <= entry.p99_us < 1e6
        assert 0 <= entry.max_abs < 1e-5
    assert best(entries).p50_us == min(entry.p50_us for entry in entries)
    assert best(entries, pinned="openvino").runtime == "openvino"


def test_trees_leave_one(graphs):
    x = np.array([[0.0, 0.0], [1.0, 0.0]], np.float32)
    entries = contest(graphs.stump(), x, np.array([[10], [20]], np.float32), 1e-6)
    assert [entry.ok for entry in entries] == [True, False]
    assert "TreeEnsembleRegressor" in entries[1].why
    assert math.isnan(entries[1].p50_us)
    assert best(entries).runtime == "onnxruntime"
    with pytest.raises(CannotLoad, match=r"'openvino' cannot serve this model: .*TreeEnsembleRegressor"):
        best(entries, pinned="openvino")


def test_wrong_answers_disqualify(reference):
    x = reference.rows(4)
    wrong = reference.answer(x)
    wrong[2, 1] += 0.01
    entries = contest(reference.graph(), x, wrong, 1e-4)
    assert not any(entry.ok for entry in entries)
    assert all(
        entry.max_abs == pytest.approx(0.01, rel=1e-3) and "differ by up to 0.01" in entry.why
        for entry in entries
    )
    with pytest.raises(CannotLoad, match="No runtime can serve this model"):
        best(entries)


def test_not_a_graph_and_unknown_names(reference):
    x = reference.rows(2)
    entries = contest(b"nonsense", x, reference.answer(x), 1e-5)
    assert not any(entry.ok for entry in entries)
    entries = contest(reference.graph(), x, reference.answer(x), 1e-5, runtimes=["onnxruntime", "tpu"])
    assert entries[0].ok
    assert not entries[1].ok
    assert "tpu" in entries[1].why
    with pytest.raises(CannotLoad, match="did not take part"):
        best(entries, pinned="openvino")


def test_best_is_by_median():
    entries = [Entry("a", "1", True, 9.0, 10.0, 0.0, ""), Entry("b", "1", True, 5.0, 99.0, 0.0, ""),
               Entry("c", "1", False, 1.0, 1.0, 1.0, "wrong")]  # fmt: skip
    assert best(entries).runtime == "b"


@pytest.mark.parametrize(
    ("expected", "got", "max_abs", "scaled"),
    [
        ([[1.0, 2.0]], [[1.0, 2.5]], 0.5, 0.25),
        ([[1000.0]], [[1001.0]], 1.0, 0.001),
        ([[0.5]], [[math.nan]], math.inf, math.inf),
        ([[math.nan]], [[math.nan]], 0.0, 0.0),
        ([[math.inf]], [[math.inf]], 0.0, 0.0),
        ([[1.0, 2.0]], [[1.0]], math.inf, math.inf),
    ],
)
def test_difference(expected, got, max_abs, scaled):
    found = difference(np.array(expected, np.float32), np.array(got, np.float32))
    assert found == pytest.approx((max_abs, scaled))


def test_prove_looks_at_single_rows_too(reference):
    """A session that is right in bulk and wrong one by one is caught."""

    class OneByOneWrong:
        width, outputs = reference.width, reference.classes

        def run(self, x):
            answer = reference.answer(x)
            return answer + 0.1 if len(x) == 1 else answer

        def close(self):
            pass

    x = reference.rows(5)
    assert prove(OneByOneWrong(), x, reference.answer(x), 1e-5)[1]
    assert not prove(open_runtime("onnxruntime").load(reference.graph()), x, reference.answer(x), 1e-5)[1]


def test_latency_of_one_row(reference):
    session = open_runtime("onnxruntime").load(reference.graph())
    latency = one_row_latency(session, reference.rows(3), calls=100)
    assert 0 < latency.p50_us <= latency.p99_us
