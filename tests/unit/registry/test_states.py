"""Every state enum, its transition table and the CHECK constraint in the schema say the same."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from appliance.jobs import ledger
from appliance.registry import alerts, deployments, models
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("table", "states", "transitions"),
    [
        ("jobs", ledger.JobState, ledger.TRANSITIONS),
        ("versions", models.VersionState, models.TRANSITIONS),
        ("deployments", deployments.DeploymentState, deployments.TRANSITIONS),
        ("alerts", alerts.AlertState, alerts.TRANSITIONS),
    ],
)
def test_enum_table_and_schema_agree(
    table: str, states: type[StrEnum], transitions: dict[StrEnum, object]
) -> None:
    schema = (ROOT / "appliance" / "db" / "registry.sql").read_text()
    body = schema.partition(f"CREATE TABLE {table} (")[2].partition(";")[0]
    match = re.search(r"state TEXT NOT NULL CHECK \(state IN \(([^)]*)\)\)", body)
    assert match is not None
    assert {word.strip(" '") for word in match[1].split(",")} == set(states)
    assert set(transitions) == set(states)
