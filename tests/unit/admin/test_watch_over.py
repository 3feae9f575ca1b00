"""What the overview and the page of monitoring say of alerts and traffic, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin.advice import advise, watch_over
from tests.unit.admin.test_advice import DOWN, FAILED, FINE, LIVE, LOST

NEW = {"model": "churn", "state": "open"}
KNOWN = {"model": "churn", "state": "acknowledged"}
ASKED = {"models": {"churn": {"failed": 0}, "digits": {"failed": 0}}}
FAILING = {"models": {"churn": {"failed": 1200}, "digits": {"failed": 34}}}
QUIET: dict[str, Any] = {"models": {}}

# what, status, jobs, alerts -> kind, sentence, where it leads
OVERVIEW: list[tuple[str, Any, Any, Any, str, str, str]] = [
    ("a new alert", FINE, [], [NEW], "warn", "What churn is asked has changed.", "/alerts"),
    ("two", FINE, [], [NEW, NEW | {"model": "b"}], "warn", "What 2 models are asked", "/alerts"),
    ("new before a failed job", FINE, [FAILED], [NEW, KNOWN], "warn", "What churn is asked", "/alerts"),
    ("a failed job before a known one", FINE, [FAILED], [KNOWN], "warn", "the last job failed", "/jobs/7"),
    ("a known one", FINE, [], [KNOWN], "idle", "somebody knows of it", "/alerts"),
    ("parts are down", DOWN, [], [NEW], "bad", "Not every part", "/checks"),
    ("a model is lost", LOST, [], [NEW], "bad", "A model that should answer", "/deployments"),
    ("none", FINE, [], [], "good", "All is well. One model answers.", ""),
]

# what, status, traffic, alerts, models in use -> kind, sentence, where it leads
MONITORING: list[tuple[str, Any, Any, Any, int, str, str, str]] = [
    ("all is well", FINE, ASKED, [], 2, "good", "All is well.", ""),
    ("a new alert", FINE, FAILING, [NEW], 2, "warn", "What churn is asked has changed.", "/alerts"),
    ("requests failed", FINE, FAILING, [KNOWN], 2, "warn", "1,234 requests failed.", ""),
    ("a known alert", FINE, ASKED, [KNOWN], 2, "idle", "somebody knows of it", "/alerts"),
    ("nobody asks", FINE, QUIET, [], 2, "idle", "Nobody has asked", ""),
    ("nothing is in use", FINE, QUIET, [], 0, "idle", "No model is in use.", "/deployments"),
    ("parts are down", DOWN, ASKED, [NEW], 2, "bad", "Not every part", ""),
]


@pytest.mark.parametrize("case", OVERVIEW, ids=lambda case: case[0])
def test_the_overview_tells_of_alerts(case: tuple[Any, ...]) -> None:
    _, status, jobs, alerts, kind, sentence, href = case
    told = advise(status | {"datasets": 1}, [LIVE], jobs, alerts=alerts)
    assert (told.kind, told.href) == (kind, href)
    assert sentence in told.sentence
    assert told.sentence.startswith("All is well.") == (kind == "good")


@pytest.mark.parametrize("case", MONITORING, ids=lambda case: case[0])
def test_monitoring_says_whether_all_is_well(case: tuple[Any, ...]) -> None:
    _, status, traffic, alerts, live, kind, sentence, href = case
    told = watch_over(status, traffic, alerts, live)
    assert (told.kind, told.href) == (kind, href)
    assert sentence in told.sentence


def test_new_alerts_are_counted_without_those_that_somebody_knows_of() -> None:
    many = [NEW | {"model": f"m{number}"} for number in range(7)] + [KNOWN]
    told = advise(FINE | {"datasets": 1}, [LIVE], [], alerts=many)
    assert "7 models" in told.sentence
    assert "m4" in told.more
    assert "m5" not in told.more, "a list that fits into the sentence"
