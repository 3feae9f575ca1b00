"""The governor's decisions, from a load told second by second."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from appliance.daemon.governor import HOT_SECONDS, Governor


def history(
    governor: Governor, loads: Iterable[float], *, workers: int = 1, room: bool = True, start: float = 0.0
) -> list[int]:
    """How many workers there were after each second of a whole load, which they share evenly."""
    seen = []
    for second, load in enumerate(loads):
        each = min(1.0, load / workers)
        workers = governor.decide(start + second, [each] * workers, workers, room)
        seen.append(workers)
    return seen


def test_a_load_that_lasts_brings_one_at_a_time_up_to_the_ceiling() -> None:
    seen = history(Governor(1, 3, 60), [9.0] * 30)
    assert seen[int(HOT_SECONDS) - 1] == 1
    assert seen[int(HOT_SECONDS)] == 2
    assert seen[-1] == 3
    assert {b - a for a, b in pairwise(seen)} == {0, 1}


def test_a_burst_changes_nothing() -> None:
    assert set(history(Governor(1, 3, 60), [1.0, 1.0, 1.0, 0.1] * 50)) == {1}


def test_calm_takes_one_at_a_time_down_to_the_floor() -> None:
    seen = history(Governor(2, 4, 60), [0.0] * 200, workers=4)
    assert (seen[59], seen[60], seen[120], seen[121], seen[-1]) == (4, 3, 3, 2, 2)


def test_one_busy_second_makes_the_calm_begin_anew() -> None:
    seen = history(Governor(1, 4, 60), [0.0] * 50 + [1.9] + [0.0] * 59, workers=2)
    assert set(seen) == {2}


@pytest.mark.parametrize("load", [0.05 * step for step in range(80)])
def test_a_steady_load_never_makes_it_go_to_and_fro(load: float) -> None:
    """Whatever the load is and however many there were, it goes one way and stays."""
    for first in (1, 4):
        seen = history(Governor(1, 4, 10), [load] * 200, workers=first)
        steps = [b - a for a, b in pairwise([first, *seen]) if b != a]
        assert len(set(steps)) <= 1
        assert len(set(seen[-100:])) == 1


def test_no_room_no_more() -> None:
    assert set(history(Governor(1, 3, 60), [9.0] * 60, room=False)) == {1}
    assert history(Governor(1, 3, 60), [0.0] * 61, workers=2, room=False)[-1] == 1


def test_who_has_crashed_or_just_starts_is_no_reason_to_add_one() -> None:
    governor = Governor(1, 3, 60)
    assert {governor.decide(float(now), [1.0], 2, True) for now in range(30)} == {2}
    assert {governor.decide(float(now), [], 2, True) for now in range(30, 200)} == {2}


def test_a_worker_that_never_comes_up_is_given_up_when_nobody_misses_it() -> None:
    governor = Governor(1, 3, 60)
    assert [governor.decide(float(now), [0.3], 2, True) for now in range(61)] == [2] * 60 + [1]


def test_a_fixed_number_stays() -> None:
    assert set(history(Governor(2, 2, 60), [9.0] * 100 + [0.0] * 200, workers=2)) == {2}
