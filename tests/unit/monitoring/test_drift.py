"""The tests on counts: against scipy's own, no alarm without a change, an alarm with one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from appliance.data.bins import Bins, Reference, Table
from appliance.data.signature import Feature
from appliance.data.types import Kind
from appliance.monitoring import drift
from appliance.monitoring.windows import Verdict
from appliance.validation.reference import reference

ROWS = 5000
NUMBERS, CATEGORIES = 6, 4
FEATURES = [Feature(f"n{i}", f"n{i}", Kind.NUMBER) for i in range(NUMBERS)] + [
    Feature(f"c{i}", f"c{i}", Kind.CATEGORICAL, 6) for i in range(CATEGORIES)
]


def rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """Mixed columns: normal, skewed, with missing values; categories of unlike frequency."""
    x = rng.normal(size=(count, NUMBERS + CATEGORIES)).astype(np.float32)
    x[:, 1] = np.exp(x[:, 1])
    x[rng.random(count) < 0.1, 2] = np.nan
    x[:, 3] = np.round(x[:, 3])
    x[:, NUMBERS:] = rng.choice(6, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01], size=(count, CATEGORIES))
    return x


def score(rng: np.random.Generator, count: int) -> np.ndarray:
    yes = rng.beta(2, 5, count).astype(np.float32)
    return np.stack([1 - yes, yes], axis=1)


def judged(known: Reference, x: np.ndarray, answers: np.ndarray) -> drift.Finding:
    features = known.feature_table.count(x)
    return drift.judge(known, features, known.score_table.count(answers[:, known.outputs]), p=0.001, psi=0.1)


@pytest.fixture(scope="module")
def known() -> Reference:
    rng = np.random.default_rng(1)
    return reference(rows(rng, ROWS), FEATURES, score(rng, ROWS))


@pytest.mark.parametrize("count", [200, 500, 1000, 5000])
def test_no_alarm_without_a_change(known: Reference, count: int) -> None:
    """300 windows of ten mixed columns; popular defaults flag 30 to 100 % of the small ones."""
    rng = np.random.default_rng(2)
    alarms = sum(
        judged(known, rows(rng, count), score(rng, count)).verdict is Verdict.DRIFTED for _ in range(300)
    )
    assert alarms <= 1


def test_without_the_correction_and_the_floor_there_would_be_alarms(known: Reference) -> None:
    """Teeth: single tests at p < 0.05, without a floor, alarm on nothing."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(50):
        counts = known.feature_table.split(known.feature_table.count(rows(rng, 500)))
        alarms += any(
            drift.p_value(bins, live) < 0.05 for bins, live in zip(known.features, counts, strict=True)
        )
    assert alarms > 10


def test_a_shift_of_half_a_deviation_is_found(known: Reference) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = rows(rng, 500)
        x[:, 0] += 0.5
        finding = judged(known, x, score(rng, 500))
        assert finding.verdict is Verdict.DRIFTED
        assert finding.drifted == ["n0"]
        assert finding.features[0].name == "n0"


@pytest.mark.parametrize("change", ["missing", "new category", "answers", "unit"])
def test_other_changes_are_found(known: Reference, change: str) -> None:
    rng = np.random.default_rng(4)
    x, answers = rows(rng, 500), score(rng, 500)
    named = {"missing": "n4", "new category": "c1", "unit": "n1"}
    match change:
        case "missing":
            x[rng.random(500) < 0.25, 4] = np.nan
        case "new category":
            x[rng.random(500) < 0.2, NUMBERS + 1] = 6
        case "unit":
            x[:, 1] *= 1.8
        case "answers":
            answers = answers[:, ::-1]
    finding = judged(known, x, answers)
    assert finding.verdict is Verdict.DRIFTED
    assert finding.drifted == ([named[change]] if change in named else [])
    assert finding.answers[0].drifted is (change == "answers")


def test_a_trifle_in_a_large_window_is_none(known: Reference) -> None:
    rng = np.random.default_rng(5)
    x = rows(rng, 200_000)
    x[:, 0] += 0.08
    finding = judged(known, x, score(rng, 200_000))
    assert finding.verdict is Verdict.STABLE
    sure = next(one for one in finding.features if one.name == "n0")
    assert sure.p < 0.001  # it is there, but too small to matter


def test_a_small_reference_is_a_sample_too() -> None:
    """60 training rows say little: a window of 500 may differ from them without anything having changed."""
    rng = np.random.default_rng(6)
    for _ in range(20):
        few = reference(rows(rng, 60), FEATURES, score(rng, 60))
        assert judged(few, rows(rng, 500), score(rng, 500)).verdict is Verdict.STABLE


def test_chi_square_is_scipys() -> None:
    a, b = np.array([50, 30, 20, 40]), np.array([35, 40, 30, 25])
    assert drift.chi_square(a, b) == pytest.approx(stats.chi2_contingency([a, b]).pvalue)


def test_smirnov_is_scipys_where_no_bin_hides_anything() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 12, 3000), rng.integers(0, 12, 700) + (rng.random(700) < 0.1)
    counts = [np.bincount(one, minlength=13) for one in (a, b)]
    assert drift.smirnov(*counts) == pytest.approx(stats.ks_2samp(a, b, method="asymp").pvalue, rel=0.15)


def test_holms_correction() -> None:
    assert drift.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert drift.holm([0.9, 0.8]) == [1.0, 1.0]
    assert drift.holm([]) == []


def test_stability_is_about_zero_without_a_change_and_grows_with_it() -> None:
    rng = np.random.default_rng(8)
    even = np.ones(15) / 15
    still = [drift.stability(rng.multinomial(5000, even), rng.multinomial(500, even)) for _ in range(200)]
    assert np.mean(still) < 0.01
    tilted = np.linspace(1, 3, 15) / np.linspace(1, 3, 15).sum()
    assert drift.stability(rng.multinomial(5000, even), rng.multinomial(500, tilted)) > 0.05
    assert drift.stability(np.array([10, 0]), np.array([0, 10])) > 1


@pytest.mark.parametrize("live", [[0, 0, 0], [0, 0, 7], [5, 0, 0]])
def test_nothing_and_nearly_nothing_is_no_alarm(live: list[int]) -> None:
    bins = Bins("a", "a", "number", (0.0,), (), (3, 0), 0)
    assert drift.p_value(bins, np.array(live)) > 0.001
    assert drift.stability(np.array([0, 0, 0]), np.array(live)) == 0.0


def test_a_column_that_never_varied_has_drifted_when_it_does() -> None:
    constant = Reference(500, (Bins("a", "a", "number", (), (), (500,)),), ())
    table = Table(constant.features)
    still = drift.judge(
        constant, table.count(np.ones((500, 1), np.float32)), np.zeros(0, np.int64), p=0.001, psi=0.1
    )
    assert still.verdict is Verdict.STABLE
    gone = table.count(np.full((500, 1), np.nan, np.float32))
    assert drift.judge(constant, gone, np.zeros(0, np.int64), p=0.001, psi=0.1).drifted == ["a"]
