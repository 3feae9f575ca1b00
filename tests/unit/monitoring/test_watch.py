"""Windows are judged when they are full; alerts open once, follow what is found, and pass by themselves."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance import clock, home
from appliance.db import audit
from appliance.errors import Conflict, NotFound
from appliance.home import Home
from appliance.monitoring import standing, windows
from appliance.monitoring.recorder import Recorder
from appliance.monitoring.watch import Watch, housekeeping
from appliance.registry import alerts, deployments
from appliance.registry.alerts import AlertState
from tests.unit.monitoring.conftest import REFERENCE, Said

USUAL, CHANGED = 0, 3
VERSION = {
    "run": "r1", "task": "binary", "algorithm": "linear", "digest": "x", "graph": "x", "proof": "x",
    "signature": "{}", "metrics": "{}", "gate": "{}", "report": "{}", "runtimes": "[]", "created_at": "x",
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home where version 1 of the model m answers and version 2 could."""
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path))
    opened = home.create(tmp_path / "home")
    bins, size = opened.put(json.dumps(REFERENCE.as_json()).encode())
    with opened.registry.write() as tx:
        empty = dict.fromkeys(
            ("digest", "columns", "profile", "notes", "manifest", "source", "options"), "{}"
        )
        by = {"created_at": clock.now(), "created_by": "cli:tester"}
        tx.insert("datasets", {"name": "d", "version": 1, "rows": 1, "data_key": b"", **empty, **by})
        tx.insert("models", {"name": "m", **by})
        run = {"id": "r1", "model": "m", "dataset": "d", "dataset_version": 1, "target": "y", "seconds": 1.0}
        tx.insert("runs", {**run, "parameters": "{}", "environment": "{}", **by})
        for version in (1, 2):
            row = VERSION | {"model": "m", "version": version, "state": "registered", "reference_bins": bins}
            tx.insert("versions", row)
        tx.insert("blobs", {"digest": bins, "bytes": size, "owner": "version:m:1"})
    deploy(opened, 1)
    return opened


def deploy(made: Home, version: int) -> None:
    with made.registry.write() as tx:
        deployments.switch(tx, deployments.begin(tx, "m", version, "onnxruntime", "cli:tester"), "m")


def ask(made: Home, rows: int, shift: float, version: int = 1) -> None:
    """So many rows, spread as the reference says where `shift` is USUAL."""
    rng = np.random.default_rng(rows)
    x = np.stack(
        [rng.choice([-1.0, 0.5, 2.0], rows, p=[0.4, 0.3, 0.3]), rng.choice([4.0, 6.0], rows)], axis=1
    )
    x[:, 0] += shift
    values = np.tile(np.array([[0.7, 0.3]]), (rows, 1))
    values[: int(rows * 0.4)] = [0.3, 0.7]
    recorder = Recorder(made.telemetry, log_predictions=False)
    answer = Said("m", version, "onnxruntime", x.astype(np.float32), values.astype(np.float32), REFERENCE)
    recorder.answered(0.001, "0" * 32, b"", answer, "tok", b"")
    recorder.flush()


def states(made: Home) -> list[tuple[str, list[str], int]]:
    return [(one.state.value, one.features, one.quiet) for one in alerts.recent(made.registry)]


def actions(made: Home) -> list[str]:
    rows = made.registry.all("SELECT action FROM audit WHERE action LIKE 'alert%' ORDER BY seq")
    return [row["action"] for row in rows]


def test_nothing_is_judged_before_there_are_enough_rows(made: Home) -> None:
    ask(made, 499, CHANGED)
    Watch(made).look()
    found = standing.standing(made, "m")
    assert (found["verdict"], found["window"], found["features"]) == ("undecided", None, [])
    assert found["next"] == {"rows": 499, "needed": 500}
    assert states(made) == []


def test_what_is_asked_as_in_training_is_no_alarm(made: Home) -> None:
    ask(made, 600, USUAL)
    Watch(made).look()
    found = standing.standing(made, "m")
    assert (found["verdict"], found["window"]["rows"], found["calibrated"]) == ("stable", 600, False)
    assert [one["drifted"] for one in found["features"]] == [False, False]
    assert found["next"]["rows"] == 0
    assert states(made) == []


def test_an_alert_opens_once_and_passes_by_itself(made: Home) -> None:
    watch = Watch(made)
    for _ in range(3):
        ask(made, 500, CHANGED)
        watch.look()
        assert states(made) == [("open", ["a"], 0)]
    assert standing.standing(made, "m")["verdict"] == "drifted"
    ask(made, 500, USUAL)
    watch.look()
    assert states(made) == [("open", ["a"], 1)]
    ask(made, 500, CHANGED)
    watch.look()
    assert states(made) == [("open", ["a"], 0)]  # it had not passed
    for _ in range(2):
        ask(made, 500, USUAL)
        watch.look()
    assert states(made) == [("resolved", ["a"], 1)]
    assert actions(made) == ["alert.open", "alert.resolve"]
    ask(made, 500, CHANGED)
    watch.look()
    assert [state for state, *_ in states(made)] == ["open", "resolved"]


def test_an_acknowledged_alert_stays_acknowledged_until_it_has_passed(made: Home) -> None:
    watch = Watch(made)
    ask(made, 500, CHANGED)
    watch.look()
    (alert,) = alerts.unresolved(made.registry)
    with made.registry.write() as tx:
        alerts.acknowledge(tx, alert.id, "user:mona")
    ask(made, 500, CHANGED)
    watch.look()
    (alert,) = alerts.unresolved(made.registry)
    assert (alert.state, alert.acknowledged_by) == (AlertState.ACKNOWLEDGED, "user:mona")
    with pytest.raises(Conflict, match="acknowledged already"), made.registry.write() as tx:
        alerts.acknowledge(tx, alert.id, "user:omar")
    with made.registry.write() as tx:
        alerts.resolve(tx, alert.id, "user:omar")
    with pytest.raises(Conflict, match="resolved already"), made.registry.write() as tx:
        alerts.resolve(tx, alert.id, "user:omar")
    with pytest.raises(NotFound), made.registry.write() as tx:
        alerts.resolve(tx, 99, "user:omar")
    assert actions(made) == ["alert.open", "alert.acknowledge", "alert.resolve"]
    rows = made.registry.all("SELECT * FROM audit ORDER BY seq")
    assert audit.verify(made.keys.key("audit"), rows, audit.read_head(made.path)).ok


def test_a_model_that_goes_out_of_use_has_no_alert(made: Home) -> None:
    watch = Watch(made)
    ask(made, 500, CHANGED)
    watch.look()
    with made.registry.write() as tx:
        current = deployments.live(tx, "m")
        assert current is not None
        deployments.retire(tx, current.id)
    watch.look()
    assert states(made)[0][0] == "resolved"
    with pytest.raises(NotFound, match="not in use"):
        standing.standing(made, "m")


def test_each_version_has_a_window_of_its_own(made: Home) -> None:
    """What the version before was asked does not count against the new one."""
    watch = Watch(made)
    ask(made, 400, CHANGED)
    deploy(made, 2)
    ask(made, 500, USUAL, version=2)
    watch.look()
    found = standing.standing(made, "m")
    assert (found["version"], found["verdict"]) == (2, "stable")
    assert windows.open_of(made.telemetry, "m", 1) is not None  # its last rows may still be on their way
    late = clock.stamp(clock.parse(clock.now()) - timedelta(seconds=61))
    with made.telemetry.write() as tx:
        tx.execute("UPDATE windows SET updated_at = ? WHERE version = 1", (late,))
    watch.look()
    assert windows.open_of(made.telemetry, "m", 1) is None
    assert states(made) == []


def test_few_rows_are_judged_after_a_week(made: Home) -> None:
    ask(made, 199, CHANGED)
    age(made, days=8)
    Watch(made).look()
    assert states(made) == []
    ask(made, 1, CHANGED)
    Watch(made).look()
    assert states(made) == [("open", ["a"], 0)]


def test_a_crash_between_the_alert_and_the_window_repeats_nothing(made: Home) -> None:
    """The alert is there, the window still open, as after a kill -9 between the two commits."""
    ask(made, 500, CHANGED)
    before = made.telemetry.one("SELECT * FROM windows")
    Watch(made).look()
    with made.telemetry.write() as tx:
        tx.execute("DELETE FROM windows")
        tx.insert("windows", before or {})
    Watch(made).look()
    assert states(made) == [("open", ["a"], 0)]
    assert actions(made) == ["alert.open"]
    assert standing.standing(made, "m")["verdict"] == "drifted"


def test_history_is_thinned_and_alarms_stay_in_it(made: Home) -> None:
    watch = Watch(made)
    for shift in (USUAL, CHANGED, USUAL, USUAL):
        ask(made, 500, shift)
        watch.look()
    age(made, days=3)
    ask(made, 500, USUAL)
    watch.look()
    housekeeping(made)
    history = windows.history(made.telemetry, "m", 100)
    assert [one.verdict.value for one in history if one.verdict] == ["stable", "stable", "drifted"]


def test_a_moved_clock_makes_nothing_old(made: Home) -> None:
    ask(made, 500, USUAL)
    Watch(made).look()
    age(made, days=500)  # as seen by a clock that is so far ahead
    housekeeping(made, clock_moved=True)
    assert len(windows.history(made.telemetry, "m", 100)) == 1


def test_a_window_of_another_reference_is_not_added_to(made: Home) -> None:
    """As after databases were restored from different backups."""
    ask(made, 10, USUAL)
    with made.telemetry.write() as tx:
        windows.add(tx, "m", 1, 3, np.zeros(4, np.int64), np.zeros(2, np.int64))
    window = windows.open_of(made.telemetry, "m", 1)
    assert window is not None
    assert (window.rows, len(window.features)) == (3, 4)


def age(made: Home, days: float) -> None:
    """Make every window older."""

    def older(stamp: Any) -> Any:
        return stamp and clock.stamp(clock.parse(stamp) - timedelta(days=days))

    with made.telemetry.write() as tx:
        for row in tx.all("SELECT id, opened_at, updated_at, closed_at FROM windows"):
            tx.execute(
                "UPDATE windows SET opened_at = ?, updated_at = ?, closed_at = ? WHERE id = ?",
                (older(row["opened_at"]), older(row["updated_at"]), older(row["closed_at"]), row["id"]),
            )
