"""May this candidate go live? A pure function of a policy and of what was measured.

A rule fails only when the figures say so beyond noise, and is undecided when there are too few rows to say.
The whole is: any fail -> fail; else any undecided -> undecided; else any warn -> warn; else pass. Every rule
says why in one sentence that a shop owner can act on.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from appliance.errors import BadInput
from appliance.validation.bootstrap import Interval

TITLES = {
    "auc": "ranking quality (AUC)", "accuracy": "share of right answers (accuracy)",
    "rmse": "typical error (RMSE)",
}  # fmt: skip


class Verdict(StrEnum):
    PASS = "pass"  # may go live
    WARN = "warn"  # may go live; somebody should look first
    UNDECIDED = "undecided"  # too little data to say
    FAIL = "fail"  # refused; an approver may override it with a written reason


SEVERITY = (Verdict.PASS, Verdict.WARN, Verdict.UNDECIDED, Verdict.FAIL)


@dataclass(frozen=True)
class Policy:
    """What is asked of a candidate; the defaults are safe for a first model."""

    min_rows: int = 50  # held-out rows, below which nothing is decided
    min_class_rows: int = 5  # held-out rows of the rarest class, likewise
    latency_budget_us: float = 5000.0  # one row, median, microseconds
    too_good: float = 0.999  # AUC, accuracy or R2 surely above this: a warning; 1 switches it off

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Policy:
        """Parse; an unknown name or a value that is no number >= 0 raises BadInput."""
        known = {field.name: field.type for field in fields(cls)}
        for name, value in body.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean '{near[0]}'?" if near else f"Use {', '.join(known)}."
                raise BadInput(f"The gate has no setting '{name}'.", hint)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise BadInput(
                    f"The '{name}' of the gate must be a number that is not negative. Got {value!r} instead.",
                    "Correct it, or leave it out for the default.",
                )
        typed: dict[str, Any] = {
            name: int(value) if known[name] == "int" else float(value) for name, value in body.items()
        }
        return cls(**typed)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What was measured. `class_rows`: held-out rows by label (empty for numbers). Improvements are positive
    where the candidate is better. None where it was not measured; `over_champion` None: there is no champion.
    """

    task: str
    metric: str
    rows: int
    value: Interval
    over_baseline: Interval
    over_champion: Interval | None = None
    champion: str = ""
    champion_note: str = ""  # why it could not be compared fairly, or why its figures are not to be trusted
    class_rows: Mapping[str, int] | None = None
    r2: Interval | None = None
    parity_ok: bool | None = None
    parity_max: float = float("nan")
    parity_rows: int = 0
    latency_us: float | None = None
    runtime: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule's outcome; NaN where it has no such figure."""

    rule: str
    verdict: Verdict
    value: float
    low: float
    high: float
    why: str

    def as_json(self) -> dict[str, Any]:
        figures = Interval(self.value, self.low, self.high).as_json()
        return {"rule": self.rule, "verdict": self.verdict.value, **figures, "why": self.why}


@dataclass(frozen=True)
class Gate:
    """The verdict, and the rules it comes from."""

    verdict: Verdict
    rules: tuple[Rule, ...]

    def as_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict.value, "rules": [rule.as_json() for rule in self.rules]}


def gate(policy: Policy, evidence: Evidence) -> Gate:
    """Hold what was measured to the policy. Pure."""
    rules = (
        _beats_baseline(policy, evidence),
        _not_worse_than_champion(policy, evidence),
        _export_parity(evidence),
        _latency(policy, evidence),
        _too_good(policy, evidence),
    )
    return Gate(max((rule.verdict for rule in rules), key=SEVERITY.index), rules)


def too_few_rows(policy: Policy, evidence: Evidence) -> str:
    """Why the held-out rows do not suffice for a verdict; "" when they do."""
    if evidence.rows < policy.min_rows:
        return f"only {evidence.rows} rows were held out, and at least {policy.min_rows} are needed"
    counts = evidence.class_rows or {}
    if counts and min(counts.values()) < policy.min_class_rows:
        label = min(counts, key=lambda name: counts[name])
        few = counts[label]
        return f"only {few} held-out rows are '{label}', and at least {policy.min_class_rows} are needed"
    return ""


def _beats_baseline(policy: Policy, evidence: Evidence) -> Rule:
    gain = evidence.over_baseline
    guess = "always saying the average" if evidence.task == "regression" else "guessing from the class shares"
    name = TITLES.get(evidence.metric, evidence.metric)
    span = f"{_figure(gain.low)} to {_figure(gain.high)}"
    if few := too_few_rows(policy, evidence):
        return _rule("beats_baseline", Verdict.UNDECIDED, gain, f"Too little data to say: {few}.")
    if math.isnan(gain.low):
        return _rule(
            "beats_baseline", Verdict.UNDECIDED, gain, f"The {name} could not be measured on these rows."
        )
    if gain.low > 0:
        why = f"Better than {guess}: the {name} is better by {_figure(gain.value)} (most likely {span})."
        return _rule("beats_baseline", Verdict.PASS, gain, why)
    why = f"Not surely better than {guess}: the difference in {name} is {_figure(gain.value)}, "
    why += f"but could be {span}."
    return _rule("beats_baseline", Verdict.FAIL, gain, why)


def _not_worse_than_champion(policy: Policy, evidence: Evidence) -> Rule:
    rule, gain = "not_worse_than_champion", evidence.over_champion
    if gain is None and evidence.champion:
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        why = (
            f"Not compared with {evidence.champion}: {evidence.champion_note} Look at both before you deploy."
        )
        return _rule(rule, Verdict.WARN, nothing, why)
    if gain is None:
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return _rule(rule, Verdict.PASS, nothing, "There is no model in use yet to compare with.")
    name = TITLES.get(evidence.metric, evidence.metric)
    champion = evidence.champion or "the model in use"
    span = f"{_figure(gain.low)} to {_figure(gain.high)}"
    if few := too_few_rows(policy, evidence):
        return _rule(rule, Verdict.UNDECIDED, gain, f"Too little data to compare with {champion}: {few}.")
    if math.isnan(gain.high):
        return _rule(rule, Verdict.UNDECIDED, gain, f"The {name} could not be compared with {champion}.")
    if gain.high < 0:
        why = f"Worse than {champion}: the {name} is worse by {_figure(-gain.value)} "
        why += f"(most likely {_figure(-gain.high)} to {_figure(-gain.low)})."
        if evidence.champion_note:
            return _rule(rule, Verdict.WARN, gain, f"{why} {evidence.champion_note}")
        return _rule(rule, Verdict.FAIL, gain, why)
    if gain.low > 0:
        why = f"Better than {champion}: the {name} is better by {_figure(gain.value)} (most likely {span})."
    else:
        why = f"As good as {champion}, within noise: the difference in {name} is "
        why += f"{_figure(gain.value)} ({span})."
    return _rule(rule, Verdict.PASS, gain, why)


def _export_parity(evidence: Evidence) -> Rule:
    worst = Interval(evidence.parity_max, float("nan"), float("nan"))
    if evidence.parity_ok is None:
        why = "It was not checked whether the exported model answers as the trained one."
        return _rule("export_parity", Verdict.UNDECIDED, worst, why)
    if evidence.parity_ok:
        why = f"The exported model answers as the trained one on all {evidence.parity_rows} rows tried "
        why += f"(largest difference {evidence.parity_max:.1e})."
        return _rule("export_parity", Verdict.PASS, worst, why)
    why = f"The exported model answers differently from the trained one (by up to {evidence.parity_max:.2g})."
    return _rule("export_parity", Verdict.FAIL, worst, why)


def _latency(policy: Policy, evidence: Evidence) -> Rule:
    if evidence.latency_us is None:
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return _rule("latency", Verdict.UNDECIDED, nothing, "The time of one answer was not measured.")
    took, most = evidence.latency_us, policy.latency_budget_us
    figure = Interval(took, float("nan"), float("nan"))
    by = f" on {evidence.runtime}" if evidence.runtime else ""
    if took <= most:
        why = f"One answer takes {_time(took)}{by}; up to {_time(most)} is allowed."
        return _rule("latency", Verdict.PASS, figure, why)
    why = f"Too slow: one answer takes {_time(took)}{by}, but only {_time(most)} is allowed."
    return _rule("latency", Verdict.FAIL, figure, why)


def _too_good(policy: Policy, evidence: Evidence) -> Rule:
    figure = evidence.r2 if evidence.task == "regression" else evidence.value
    if figure is None:
        figure = Interval(float("nan"), float("nan"), float("nan"))
    if policy.too_good < 1 and figure.low > policy.too_good:
        why = f"Almost perfect ({_figure(figure.value)}), which is rare: check that no column is only known "
        why += "after the answer is (see which columns matter most)."
        return _rule("too_good_to_be_true", Verdict.WARN, figure, why)
    return _rule("too_good_to_be_true", Verdict.PASS, figure, "Not so good that a leak must be suspected.")


def _rule(name: str, verdict: Verdict, figures: Interval, why: str) -> Rule:
    return Rule(name, verdict, figures.value, figures.low, figures.high, why)


def _figure(value: float) -> str:
    """Three digits that say something, without an exponent where a person would not write one."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.2g}"


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} microseconds"
    return f"{microseconds / 1000:.1f} milliseconds"
