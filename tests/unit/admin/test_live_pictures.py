"""The charts of models in use: what is drawn of which figures."""

from __future__ import annotations

from typing import Any

from appliance.admin import live_pictures, words
from appliance.monitoring.traffic import Meter


def traffic(*statuses: dict[int, int]) -> dict[str, Any]:
    """Minutes with so many requests of each status, each of two milliseconds."""
    meters = []
    for counts in statuses:
        meter = Meter()
        for status, count in counts.items():
            for _ in range(count):
                meter.add(status, 0.002)
        meters.append(meter)
    series = [{"at": f"2026-11-25T04:{i:02}:00.000Z"} | one.as_json() for i, one in enumerate(meters)]
    return {"step": 60, "series": series}


def test_every_request_is_in_one_bar_of_the_chart() -> None:
    requests, times = live_pictures.over_time(traffic({200: 5, 422: 2, 499: 1, 503: 3}, {}, {200: 1}))
    curves = {one["name"]: one["values"] for one in requests.data["series"]}
    assert curves == {"answered": [5, 0, 1], "turned down": [3, 0, 0], "failed": [3, 0, 0]}
    assert requests.data["bars"]
    assert "Answered: 6." in requests.summary
    assert "Failed: 3." in requests.summary
    typical = times.data["series"][0]["values"]
    assert typical[1] is None, "where nobody asked there is a gap, not a time of nought"
    assert typical[0] > 1


def test_what_did_not_happen_has_no_colour() -> None:
    requests, _ = live_pictures.over_time(traffic({200: 5}))
    assert [one["name"] for one in requests.data["series"]] == ["answered"]


def test_a_span_without_requests_has_no_charts() -> None:
    assert live_pictures.over_time(traffic({}, {})) == []


def feature(name: str, score: float, drifted: bool) -> dict[str, Any]:
    return {"name": name, "score": score, "p": 0.5, "drifted": drifted}


def test_changes_are_drawn_the_drifted_first_and_marked() -> None:
    features = [feature(f"f{number}", 1 - number / 40, number < 3) for number in range(30)]
    found = {"features": features, "answers": [feature("1", 0.4, True)]}
    columns, answers = live_pictures.changes(found, ["no", "yes"], 0.1)
    assert columns.data["marked"] == 3
    assert len(columns.data["names"]) == len(columns.data["values"]) < 30
    assert columns.data["guide"] == 0.1
    assert answers.data["names"] == ["yes"], "the class, not its number"


def test_the_answer_of_a_regression_has_a_name_too() -> None:
    found: dict[str, Any] = {"features": [], "answers": [feature("0", 0.0, False)]}
    (answers,) = live_pictures.changes(found, [], 0.1)
    assert answers.data["names"] == ["the number"]


def test_the_course_is_oldest_first_and_leaves_out_what_was_not_judged() -> None:
    def window(to: str, *scores: float) -> dict[str, Any]:
        return {
            "window": {"to": to},
            "features": [feature("a", score, False) for score in scores],
            "answers": [],
        }

    history = [window("3", 0.5, 0.2), window("2"), window("1", 0.1)]
    course = live_pictures.course(history, 0.1)
    assert course is not None
    assert course.data["at"] == ["1", "3"]
    assert course.data["series"][0]["values"] == [0.1, 0.5]
    assert live_pictures.course(history[:2], 0.1) is None, "one point is no course"


def test_times_and_changes_in_words() -> None:
    told = [words.duration(ms) for ms in (None, 0.273, 2.31, 23.4, 230.2, 1234.0)]
    assert told == ["–", "0.27 ms", "2.3 ms", "23 ms", "230 ms", "1.2 s"]
    assert words.drift(None)[0] == "idle"
    few = {"verdict": "undecided", "next": {"rows": 1120, "needed": 5000}}
    assert words.drift(few) == ("idle", "too few rows yet: 1,120 of 5,000")
    assert words.drift({"verdict": "drifted"})[0] == "warn"
    assert words.change(0.3) != words.change(0.2)
