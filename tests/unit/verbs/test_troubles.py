"""What is wrong with the machine: each trouble by itself, and that it goes when it is over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import home as homes
from appliance.db.mishap import Mishap, judge
from appliance.errors import Corrupted
from appliance.home import Home
from appliance.verbs import clock_jump, troubles
from appliance.verbs.clock_jump import LEAST, TOLD, Seen
from appliance.verbs.troubles import DAMAGED, NEARLY_FULL, WORDS, Trouble

HOUR = 3600.0
START = Seen("boot", 1000.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return homes.create(tmp_path / "home")


def looked(before: Seen | None, by: float, uptime: float, boot: str = "boot") -> Seen:
    """A look when the wall clock is `by` seconds from where it was at the start."""
    return clock_jump.judge(before, boot, 1000.0 + uptime + by, uptime, f"at {uptime:g}")


def test_a_machine_that_is_well_has_no_trouble(home: Home) -> None:
    assert troubles.find(home) == []


def test_every_sentence_takes_its_values() -> None:
    values = {"free": "1", "needed": "2", "file": "x.db", "minutes": "60", "at": "now"}
    values |= {"old": "1", "new": "2", "why": "No."}
    for words in WORDS:
        told = Trouble(words, values).as_json()
        assert told["fix"]
        assert "%" not in told["trouble"]


def test_little_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALAJ_DATA_MIN_FREE_MB", "1000000")
    (found,) = troubles.find(homes.open_home(home.path))
    assert found.words == NEARLY_FULL
    assert found.values["needed"] == "1000000"


def test_damage_is_told_by_whoever_met_it_until_it_is_proven_mended(home: Home) -> None:
    """Another process has met it: this one has read nothing yet, and can read what it needs."""
    home.registry.all("PRAGMA wal_checkpoint(TRUNCATE)")
    page = home.registry.all("SELECT rootpage FROM sqlite_master WHERE name = 'audit'")[0]["rootpage"] - 1
    home.registry.close()
    path = home.path / "registry.db"
    before = path.read_bytes()
    with open(path, "r+b") as file:
        file.seek(page * 4096)
        file.write(os.urandom(4096))
    other = homes.open_home(home.path)
    with pytest.raises(Corrupted):
        other.registry.all("SELECT * FROM audit")
    assert home.registry.all("SELECT * FROM users") == []
    assert [one.words for one in troubles.find(home)] == [DAMAGED]
    path.write_bytes(before)
    assert [one.words for one in troubles.find(home)] == [DAMAGED], "it is not proven each time"
    assert troubles.find(homes.open_home(home.path)) == []
    assert troubles.find(home) == []


def test_a_busy_database_is_no_trouble(home: Home) -> None:
    assert judge("database is locked", home.path) is None
    assert judge("UNIQUE constraint failed: tokens.id", home.path) is None
    assert judge("database or disk is full", home.path) is Mishap.FULL


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_the_clock_jumps_and_comes_back(by: float) -> None:
    jumped = looked(START, by, 10.0)
    assert (jumped.by, jumped.at, jumped.between) == (by, "at 10", START.between)
    assert looked(jumped, by, 500.0) == jumped, "the time of the jump stays"
    assert looked(jumped, 0.0, 600.0) == START


def test_a_clock_that_stays_there_is_believed_after_a_day() -> None:
    jumped = looked(START, HOUR, 10.0)
    assert looked(jumped, HOUR, TOLD).by == HOUR
    assert looked(jumped, HOUR, TOLD + 11.0) == Seen("boot", START.between + HOUR)


def test_what_is_no_jump() -> None:
    assert looked(None, 0.0, 0.0) == START
    assert looked(START, LEAST - 1.0, 10.0) == START, "the clock was set a little"
    assert looked(START, HOUR, 10.0, boot="another").by == 0.0


def test_a_second_jump_is_told_anew() -> None:
    second = looked(looked(START, HOUR, 10.0), -HOUR, 20.0)
    assert (second.by, second.at) == (-HOUR, "at 20")
