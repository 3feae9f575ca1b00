"""Calls out in telemetry: bounded, whatever the egress role claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import clock
from appliance import home as homes
from appliance.db import Row
from appliance.egress import folder
from appliance.egress.broker import Broker
from appliance.egress.counts import OTHER
from appliance.egress.rules import parse
from appliance.errors import Unavailable
from appliance.home import Home
from appliance.monitoring import outgoing
from appliance.monitoring.outgoing import Outgoing
from appliance.registry import egress
from appliance.security import names
from appliance.security.names import Names
from tests.unit.egress.outside import running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path))
    made = homes.create(tmp_path / "home")
    folder.prepare(made.config.egress_dir)
    return made


@pytest.fixture
def broker(home: Home) -> Iterator[Broker]:
    made = Broker(
        home.config.egress_dir, lambda: Names(("till.local", "bad name"), ("10.1.2.3", "x", "127.0.0.1"))
    )
    with running(made):
        yield made


def recent(home: Home) -> list[Row]:
    return outgoing.recent(home.telemetry, "")


def test_refusals_are_told_once_a_minute_with_their_number(home: Home, broker: Broker) -> None:
    for _ in range(7):
        broker.counts.add("a.example", 443, "refused")
    broker.counts.add("b.example", 80, "failed", 10, 20)
    Outgoing(home).look()
    found = {one["host"]: one for one in recent(home)}
    assert (found["a.example"]["calls"], found["b.example"]["bytes_in"]) == (7, 20)
    (entry,) = home.registry.all("SELECT * FROM audit WHERE action = 'access.refused'")
    assert (entry["actor"], entry["subject"]) == ("system", "egress:a.example:443")
    assert json.loads(entry["detail"]) == {"door": "egress", "refused": {"403": 7}}


def test_an_hour_tells_only_so_many_hosts_apart(home: Home, broker: Broker) -> None:
    rounds = Outgoing(home)
    for batch in range(3):
        for number in range(800):
            broker.counts.add(f"n{batch}-{number}.example", 443, "failed")
        rounds.look()
    found = recent(home)
    assert len(found) == outgoing.MOST_AN_HOUR + 1
    assert sum(one["calls"] for one in found) == 2400
    assert next(one["calls"] for one in found if one["host"] == OTHER) == 1400


@pytest.mark.parametrize(
    "wrong",
    [{"host": "\x1b[2J<script>"}, {"host": "x" * 10_000}, {"host": 7}, {"calls": 10**30}, {"bytes_in": -5}],
)
def test_what_the_role_claims_is_not_believed_blindly(
    home: Home, broker: Broker, wrong: dict[str, Any]
) -> None:
    claim = {"host": "a.example", "port": 443, "verdict": "done", "calls": 1, "bytes_out": 0, "bytes_in": 0}
    broker.counts.hand_out = lambda acknowledged: {"batch": "b", "counts": [claim | wrong]}  # type: ignore[method-assign]
    Outgoing(home).look()
    (found,) = recent(home)
    assert found["host"] in ("a.example", OTHER)
    assert 0 <= found["calls"] <= 1 << 53
    assert found["bytes_in"] >= 0


def test_the_rules_in_force_are_those_of_the_registry(home: Home, broker: Broker) -> None:
    with home.registry.write() as tx:
        egress.add(tx, parse("a.example"), "test", "me")
    assert not outgoing.in_force(home)
    Outgoing(home).look()
    assert broker.allows("a.example", 443)
    folder.write_allowed(home.config.egress_dir, [parse("evil.example")])
    Outgoing(home).look()
    assert (broker.allows("evil.example", 443), broker.allows("a.example", 443)) == (False, True)


def test_rules_hold_also_while_nobody_answers(home: Home) -> None:
    with pytest.raises(Unavailable):
        Outgoing(home).look()
    assert outgoing.in_force(home)


def test_old_hours_go(home: Home, broker: Broker) -> None:
    broker.counts.add("a.example", 443, "done")
    Outgoing(home).look()
    now = clock.parse(clock.now()).timestamp()
    for days, left in ((89, 1), (91, 0)):
        with home.telemetry.write() as tx:
            outgoing.thin(tx, now + days * 86400)
        assert len(recent(home)) == left


def test_the_names_of_the_machine_come_from_the_role(home: Home, broker: Broker) -> None:
    found = names.seen_by(home.config)
    assert found == Names(("till.local", "localhost"), ("10.1.2.3", "127.0.0.1", "::1"))
    folder.socket_path(home.config.egress_dir).unlink()
    assert names.seen_by(home.config) is None
    folder.clear(home.config.egress_dir)
    assert names.seen_by(home.config) == names.of_this_machine()
