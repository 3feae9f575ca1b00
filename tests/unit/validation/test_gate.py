"""The gate: every rule both ways, the order of verdicts, and its rate of false alarms."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from appliance.errors import BadInput
from appliance.validation.bootstrap import Interval, evaluate
from appliance.validation.gate import Evidence, Policy, Verdict, gate

NAN = float("nan")
GOOD = Evidence(
    task="binary", metric="auc", rows=1000, value=Interval(0.9, 0.88, 0.92),
    over_baseline=Interval(0.4, 0.38, 0.42), over_champion=Interval(0.01, -0.01, 0.03), champion="churn:1",
    class_rows={"no": 800, "yes": 200}, parity_ok=True, parity_max=1e-7, parity_rows=700, latency_us=20.0,
    runtime="onnxruntime",
)  # fmt: skip


def judged(rule, **changes):
    found = gate(Policy(), replace(GOOD, **changes))
    (one,) = [each for each in found.rules if each.rule == rule]
    return one


def test_a_good_candidate_passes_every_rule():
    found = gate(Policy(), GOOD)
    assert found.verdict is Verdict.PASS
    assert [rule.verdict for rule in found.rules] == [Verdict.PASS] * 5
    assert all(rule.why.endswith(".") for rule in found.rules)


@pytest.mark.parametrize(
    ("rule", "changes", "verdict", "says"),
    [
        (
            "beats_baseline",
            {"over_baseline": Interval(0.02, -0.01, 0.05)},
            "fail",
            "could be -0.010 to 0.050",
        ),
        ("beats_baseline", {"over_baseline": Interval(0.1, 0.0, 0.2)}, "fail", "Not surely better"),
        ("beats_baseline", {"rows": 49}, "undecided", "only 49 rows"),
        (
            "beats_baseline",
            {"class_rows": {"no": 990, "yes": 4}},
            "undecided",
            "only 4 held-out rows are 'yes'",
        ),
        ("beats_baseline", {"over_baseline": Interval(NAN, NAN, NAN)}, "undecided", "could not be measured"),
        (
            "not_worse_than_champion",
            {"over_champion": Interval(-0.05, -0.08, -0.02)},
            "fail",
            "Worse than churn:1",
        ),
        ("not_worse_than_champion", {"over_champion": Interval(-0.05, -0.1, 0.0)}, "pass", "within noise"),
        (
            "not_worse_than_champion",
            {"over_champion": Interval(0.05, 0.02, 0.1)},
            "pass",
            "Better than churn:1",
        ),
        ("not_worse_than_champion", {"over_champion": None, "champion": ""}, "pass", "no model in use yet"),
        (
            "not_worse_than_champion",
            {"over_champion": None, "champion_note": "it learnt from some of these rows."},
            "warn",
            "Not compared with churn:1: it learnt from some of these rows. Look at both",
        ),
        (
            "not_worse_than_champion",
            {"over_champion": Interval(-0.05, -0.08, -0.02), "champion_note": "But churn:1 was too good."},
            "warn",
            "Worse than churn:1",
        ),
        ("not_worse_than_champion", {"rows": 10}, "undecided", "Too little data to compare"),
        ("export_parity", {"parity_ok": False, "parity_max": 0.02}, "fail", "by up to 0.02"),
        ("export_parity", {"parity_ok": None}, "undecided", "not checked"),
        ("latency", {"latency_us": 5000.0}, "pass", "5.0 milliseconds"),
        ("latency", {"latency_us": 5001.0}, "fail", "Too slow"),
        ("latency", {"latency_us": None}, "undecided", "not measured"),
        ("too_good_to_be_true", {"value": Interval(1.0, 0.9995, 1.0)}, "warn", "only known after the answer"),
        ("too_good_to_be_true", {"value": Interval(0.9999, 0.99, 1.0)}, "pass", "Not so good"),
    ],
)
def test_rules(rule, changes, verdict, says):
    found = judged(rule, **changes)
    assert found.verdict == verdict
    assert says in found.why


def test_the_verdict_is_the_gravest_rule():
    changes = {
        Verdict.FAIL: {"latency_us": 1e6},
        Verdict.UNDECIDED: {"parity_ok": None},
        Verdict.WARN: {"value": Interval(1.0, 1.0, 1.0)},
    }
    order = [Verdict.FAIL, Verdict.UNDECIDED, Verdict.WARN]
    for size in (1, 2, 3):
        for some in itertools.combinations(order, size):
            merged = {name: value for verdict in some for name, value in changes[verdict].items()}
            assert gate(Policy(), replace(GOOD, **merged)).verdict is some[0]


def test_policy_is_parsed_strictly():
    assert Policy.from_json({"min_rows": 10.0}).min_rows == 10
    assert Policy.from_json(Policy().as_json()) == Policy()
    with pytest.raises(BadInput, match="latency") as caught:
        Policy.from_json({"latency_budget": 3})
    assert "latency_budget_us" in caught.value.hint
    for bad in (-1, "3", True, NAN):
        with pytest.raises(BadInput, match="not negative"):
            Policy.from_json({"min_rows": bad})


def chances(rng, y, skill):
    p = 1 / (1 + np.exp(-(skill * (2 * y - 1) + rng.normal(size=len(y)))))
    return np.stack([1 - p, p], axis=1)


def verdict_over_champion(seed, candidate_skill, rows=400):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.4).astype(int)
    champion = chances(rng, y, 1.0)
    candidate = champion if candidate_skill is None else chances(rng, y, candidate_skill)
    found = evaluate("binary", y, {"candidate": candidate, "champion": champion}, resamples=200, seed=seed)
    return judged("not_worse_than_champion", over_champion=found.improvements["champion"]["auc"]).verdict


def test_false_alarms_and_teeth():
    assert verdict_over_champion(0, None) is Verdict.PASS  # the same model again
    equal = [verdict_over_champion(seed, 1.0) for seed in range(100)]
    assert equal.count(Verdict.FAIL) <= 7  # 2.5 % expected
    worse = [verdict_over_champion(seed, 0.5) for seed in range(30)]
    assert worse.count(Verdict.FAIL) == 30
