"""From held-out rows to the page: what is in it, what hostile names cannot do, what drift is counted in."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from appliance.data.bins import Reference
from appliance.data.signature import Feature
from appliance.data.types import Kind
from appliance.validation import curves
from appliance.validation.importance import importance
from appliance.validation.page import html
from appliance.validation.plots import Axis, ticks
from appliance.validation.reference import reference
from appliance.validation.report import report
from appliance.validation.validate import Holdout, Proofs, validate

HOSTILE = '"><img src=x onerror=alert(1)></title><script>x</script>'
FEATURES = [
    Feature(HOSTILE, HOSTILE, Kind.NUMBER),
    Feature("when.month", "when", Kind.DATETIME),
    Feature("when.day", "when", Kind.DATETIME),
    Feature("عمود", "عمود", Kind.CATEGORICAL, 4),
]
PARITY = {
    "max_abs": 1e-7, "max_rel": None, "flips": 0, "ok": True, "rows": 700, "tolerance": 1e-5, "runtime": "r",
}  # fmt: skip
LATENCY = (
    {"runtime": "onnxruntime", "version": "1", "ok": True, "p50_us": 12.0, "p99_us": 30.0, "why": ""},
    {"runtime": "openvino", "version": "2", "ok": False, "p50_us": float("nan"), "p99_us": float("nan"),
     "why": HOSTILE},
)  # fmt: skip


def predict_two(x):
    p = 1 / (1 + np.exp(-2 * np.nan_to_num(x[:, 0]) - np.nan_to_num(x[:, 2])))
    return np.stack([1 - p, p], axis=1)


def made(task="binary", rows=500, champion=True, labels=("no & <b>", HOSTILE)):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    x[:, 3] = rng.integers(0, 5, rows)
    x[::17, 0] = np.nan
    p = predict_two(x)
    if task == "regression":
        y, predict = p[:, 1] * 1e5 + rng.normal(size=rows) * 1e3, lambda x: predict_two(x)[:, 1:] * 1e5
        labels = ()
    elif task == "multiclass":
        y, k = rng.integers(0, len(labels), rows), len(labels)
        predict = lambda x: np.tile(np.arange(1, k + 1) / (k * (k + 1) / 2), (len(x), 1))  # noqa: E731
    else:
        y, predict = (rng.random(rows) < p[:, 1]).astype(int), predict_two
    proofs = Proofs(predict(x) if champion else None, HOSTILE if champion else "", "", PARITY, LATENCY)
    found = validate(Holdout(task, tuple(labels), FEATURES, x, y, y), predict, proofs)
    race = [
        {"algorithm": "linear", "metric": found.gate.rules[0].rule and "auc", "score": 0.9, "loss": 0.3,
         "seconds": 1.0, "won": True, "settings": {}, "why": ""},
        {"algorithm": "mlp", "metric": "auc", "score": None, "loss": None, "seconds": 1.0, "won": False,
         "settings": {}, "why": HOSTILE},
    ]  # fmt: skip
    about = {
        "model": HOSTILE, "version": "2", "target": HOSTILE, "dataset": {"name": HOSTILE, "rows": 12345},
        "training": {"race": race, "params": {"a": 0.05, "b": [1, 2], "c": True}},
        "environment": {HOSTILE: HOSTILE}, "notes": [HOSTILE],
    }  # fmt: skip
    return found, report(found, about)


class Page(HTMLParser):
    """Collects tags, and checks that every opened one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("binary", ("no & <b>", HOSTILE)),
        ("multiclass", ("a", "<i>", HOSTILE)),
        ("multiclass", tuple(f"c{i}" for i in range(25))),
        ("regression", ()),
    ],
)
def test_page_is_whole_self_contained_and_escapes_every_name(task, labels):
    _, body = made(task, labels=labels)
    json.dumps(body, allow_nan=False)
    page = Page(html(json.loads(json.dumps(body))))
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "b", "i", "iframe", "link", "object"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href")]
    assert HOSTILE in page.text
    assert names >= {"svg", "table", "style"}


def test_report_says_what_the_gate_said():
    found, body = made()
    assert body["gate"]["verdict"] == "pass" == found.gate.verdict
    assert body["verdict"] in html(body)
    assert set(body["metrics"]) == {"auc", "accuracy", "f1", "logloss", "brier"}
    assert body["metrics"]["auc"]["low"] < body["metrics"]["auc"]["value"] < body["metrics"]["auc"]["high"]
    assert "12 microseconds on onnxruntime" in html(body)
    assert "500 rows that it had never seen" in body["meaning"]


def test_a_useless_model_is_refused_in_words():
    _, body = made("multiclass", labels=("a", "b", "c"))
    assert body["gate"]["verdict"] == "fail"
    assert "This model should not go live." in html(body)
    assert "Not surely better than guessing" in html(body)


def test_without_champion_parity_or_latency():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    found = validate(
        Holdout("binary", ("a", "b"), FEATURES, x, (x[:, 0] > 0).astype(int), np.array([0, 1])), predict_two
    )
    body = report(found, {"model": "m", "target": "t"})
    assert body["champion"] is None
    assert body["gate"]["verdict"] == "undecided"
    assert Page(html(body)).open == []


def test_importance_is_by_column_and_finds_what_matters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4)).astype(np.float32)
    y = (rng.random(3000) < predict_two(x)[:, 1]).astype(int)
    before = x.copy()
    found = importance(predict_two, x, y, FEATURES, "binary")
    np.testing.assert_array_equal(x, before)
    assert [one.column for one in found[:2]] == [HOSTILE, "when"]
    assert len(found) == 3
    assert found[0].drop > 0.1 > found[0].error * 5
    assert found[2].drop == 0.0


def test_importance_keeps_its_time():
    assert (
        importance(
            predict_two,
            np.zeros((50, 4), np.float32),
            np.arange(50) % 2,
            FEATURES,
            "binary",
            budget_seconds=0,
        )
        == []
    )


def test_reference_counts_every_row_once():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 4)).astype(np.float32)
    x[:, 3] = rng.choice([0, 1, 2, 4], 5000, p=[0.6, 0.396, 0.002, 0.002])
    x[::10, 0] = np.nan
    found = reference(x, FEATURES, predict_two(x)[:300])
    body = found.as_json()
    assert Reference.from_json(json.loads(json.dumps(body, allow_nan=False))) == found
    bins = found.features
    assert all(sum(one.counts) + one.missing == 5000 for one in bins)
    assert bins[0].missing == 500
    assert max(bins[0].counts) < 2 * min(bins[0].counts)
    assert bins[3].codes == (0, 1)
    assert bins[3].counts[-1] == int((x[:, 3] >= 2).sum())  # the rare and the never seen
    assert [sum(one.counts) for one in found.score] == [300]  # of yes/no, the second output


def test_reference_of_few_values_has_a_bin_each():
    x = np.tile(np.array([[0.0], [1.0]], np.float32), (50, 1))
    (one,) = reference(x, FEATURES[:1], np.zeros((100, 1))).features
    assert one.counts == (50, 50)


def test_curves_end_where_they_must_and_are_thin():
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 20_000), rng.random(20_000)
    roc = curves.roc(y, score)
    assert (roc["false_positive"][0], roc["true_positive"][0]) == (0, 0)
    assert (roc["false_positive"][-1], roc["true_positive"][-1]) == (1, 1)
    assert len(roc["true_positive"]) <= curves.POINTS + 2
    assert curves.precision_recall(y, score)["recall"][-1] == 1
    assert curves.confusion(np.array([0, 1, 1]), np.eye(2)[[0, 0, 1]]) == [[1, 0], [1, 1]]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3e-9, 2e-9), (0, 977), (1e6, 1.00001e6)])
def test_ticks_are_inside_and_not_too_many(low, high):
    found = ticks(Axis("x", low, high))
    assert 2 <= len(found) <= 8
    assert all(low - 1e-9 * abs(low) <= tick <= high + 1e-9 * abs(high) for tick in found)
