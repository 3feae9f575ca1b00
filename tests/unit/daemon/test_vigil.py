"""Who gives no sign of life is found, and only who had the time to give one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import presence
from appliance.daemon.vigil import Vigil
from appliance.inference.pulse import ROLE

ME = os.getpid()


@pytest.fixture
def vigil(tmp_path: Path) -> Vigil:
    return Vigil(tmp_path, patience=30.0)


def test_silence_is_due_after_its_time(vigil: Vigil, tmp_path: Path) -> None:
    presence.announce(tmp_path, ROLE, {"wrong": {}})
    assert [bool(vigil.look(float(second), {ME}, 1)) for second in (0, *range(1, 32))] == [False] * 29 + [
        True
    ] * 3
    presence.touch(tmp_path, ROLE)
    assert vigil.look(33.0, {ME}, 1) == {}
    assert not vigil.in_vain


def test_who_never_gave_a_sign_is_due_too(vigil: Vigil) -> None:
    for second in range(40):
        due = vigil.look(float(second), {ME}, 1)
    assert due == {ME: "it has given no sign of life for 30 seconds"}
    assert vigil.in_vain
    assert vigil.proven == set()


def test_time_in_which_the_parent_did_not_look_is_nobodys_fault(vigil: Vigil, tmp_path: Path) -> None:
    """The machine slept, or all of the appliance was stopped, or there was no core for it."""
    presence.announce(tmp_path, ROLE, {"wrong": {}})
    assert [vigil.look(now, {ME}, 1) for now in (0.0, 3600.0, 7200.0, 90_000.0)] == [{}] * 4


def test_a_wrong_answer_is_due_at_once_and_told_until_all_have_proven_themselves(
    vigil: Vigil, tmp_path: Path
) -> None:
    presence.announce(tmp_path, ROLE, {"wrong": {"line:1": "it lies"}})
    assert vigil.look(0.0, {ME}, 1) == {ME: "it answered a known row wrongly"}
    assert vigil.look(1.0, set(), 1) == {}
    assert vigil.wrong == {"line:1": "it lies"}
    presence.announce(tmp_path, ROLE, {"wrong": {}})
    assert vigil.look(2.0, {ME}, 1) == {}
    assert vigil.wrong == {}
