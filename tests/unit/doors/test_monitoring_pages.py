"""The pages of alerts, of monitoring and of kept predictions: who sees what, and hostile contents."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.inference.wire import request_id as new_id
from appliance.monitoring import prediction_log, traffic
from appliance.monitoring.traffic import Meter
from appliance.registry import alerts
from tests.unit.doors.serving import Served, serve

HOSTILE = "<script>alert(1)</script>\u202e{{7*7}} " + "x" * 9000
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("site") / "home") as served:
        served.add_all_roles()
        yield served


def fire(site: Served, model: str, *features: str) -> int:
    """A new alert; the one before of this model is over."""
    with site.app.home.registry.write() as tx:
        for one in alerts.unresolved(tx, model):
            alerts.resolve(tx, one.id, "user:owner")
        id = alerts.fire(tx, alerts.DRIFT, model, 1, list(features), {})
    assert id is not None
    return id


def look(site: Served, path: str, name: str = "viewer", status: int = 200) -> str:
    with site.browser(name, **PAGE) as browser:
        answer = browser.get(path)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"].startswith("text/html")
    return answer.text


def press(site: Served, path: str, name: str = "operator") -> httpx.Response:
    with site.browser(name, **PAGE) as browser:
        return browser.post(path, follow_redirects=True)


def test_without_alerts_the_page_says_when_there_would_be_one(tmp_path: Path) -> None:
    with serve(tmp_path / "home") as served:
        served.add_user("mona", "admin")
        assert "No alert so far" in look(served, "/alerts", "mona")
        page = look(served, "/monitoring", "mona")
        assert "Nothing to watch yet" in page
        assert "No model is in use." in page or "Not every part" in page


def test_an_alert_says_what_has_changed_the_worst_first(site: Served) -> None:
    fire(site, "worst", *(f"column {number}" for number in range(9)))
    page = look(site, "/alerts")
    assert page.index("column 0") < page.index("column 5")
    assert "column 6" not in page
    assert "and 3 more columns" in page


def test_where_only_the_answers_have_changed_it_says_so(site: Served) -> None:
    fire(site, "answers")
    assert "the answers" in look(site, "/alerts")


@pytest.mark.parametrize(
    ("name", "decides"), [("viewer", False), ("operator", True), ("approver", True), ("admin", True)]
)
def test_buttons_are_for_those_who_may(site: Served, name: str, decides: bool) -> None:
    id = fire(site, "buttons", "a")
    page = look(site, "/alerts", name)
    assert (f"/alerts/{id}/acknowledge" in page) is decides
    assert (f"/alerts/{id}/resolve" in page) is decides
    for deed in ("acknowledge", "resolve"):
        if not decides:
            assert press(site, f"/alerts/{id}/{deed}", name).status_code == 403


def test_acknowledged_then_resolved(site: Served) -> None:
    id = fire(site, "sales", "tenure")
    page = press(site, f"/alerts/{id}/acknowledge").text
    assert "Everybody sees now that you know of it." in page
    assert f"/alerts/{id}/acknowledge" not in page, "once is enough"
    assert re.search(r"Who knows.*operator", page, re.DOTALL)
    again = press(site, f"/alerts/{id}/acknowledge").text
    assert f"Alert {id} is acknowledged already." in again, "another one was faster"
    page = press(site, f"/alerts/{id}/resolve").text
    assert "If it goes on, a new one is opened." in page
    assert f'id="alert-{id}"' not in page
    assert "sales" in page.partition("Alerts that are over")[2]
    assert "falaj " not in press(site, "/alerts/99999/resolve").text, "no command for who has no command line"


def test_the_navigation_counts_what_is_not_resolved(site: Served) -> None:
    id = fire(site, "counted", "a")
    count = re.compile(r'class="count">(\d+)<')
    before = count.search(look(site, "/datasets"))
    assert before is not None
    assert int(before[1]) == len(alerts.unresolved(site.app.home.registry))
    press(site, f"/alerts/{id}/resolve")
    after = count.search(look(site, "/datasets"))
    assert int(after[1] if after else 0) == int(before[1]) - 1


def test_hostile_names_of_columns_are_text(site: Served) -> None:
    fire(site, "hostile", HOSTILE)
    page = look(site, "/alerts")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_requests_for_no_model_are_told(site: Served) -> None:
    meter = Meter()
    for _ in range(3):
        meter.add(404, 0.001)
    with site.app.home.telemetry.write() as tx:
        traffic.add(tx, traffic.NO_MODEL, 0, meter, time.time())
    assert "3 requests named no model that is in use" in look(site, "/monitoring")


@pytest.mark.parametrize("hours", ["", "?hours=1", "?hours=720", "?hours=12", "?hours=-1", "?hours=x"])
def test_only_the_spans_that_are_offered_can_be_asked_for(site: Served, hours: str) -> None:
    page = look(site, f"/monitoring{hours}")
    chosen = re.findall(r'href="/monitoring\?hours=(\d+)" aria-current="true"', page)
    assert chosen == [hours.removeprefix("?hours=") if hours in ("?hours=1", "?hours=720") else "24"]


def test_a_model_that_is_not_there(site: Served) -> None:
    assert "nothere" in look(site, "/monitoring/nothere", status=404)


# Kept predictions


def keep(site: Served, request: Any, reply: Any, token: str = "") -> str:
    """A kept prediction; its id. Text goes in as it is."""
    id = new_id()
    content = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (request, reply)]
    piece = prediction_log.Piece("onnxruntime")
    piece.add(id, 1, token, *content)
    with site.app.home.telemetry.write() as tx:
        prediction_log.add(tx, "sales", 1, piece)
    return id


def test_one_prediction_shows_what_was_asked_and_answered(site: Served) -> None:
    said = {"label": "Yes", "probability": 0.731, "probabilities": {"No": 0.269, "Yes": 0.731}}
    id = keep(site, {"rows": [{"tenure": 3, "contract": "One year"}]}, {"predictions": [said]}, "3f2a")
    page = look(site, f"/monitoring/sales/predictions/{id}", "operator")
    for word in ("tenure", "One year", "Yes", "73.1%", "26.9%", "sales:1", "onnxruntime", id, "3f2a"):
        assert word in page, word


def test_a_prediction_is_for_those_who_may(site: Served) -> None:
    id = keep(site, {"rows": [{"tenure": 3}]}, {"predictions": [{"value": 2.5}]})
    look(site, f"/monitoring/sales/predictions/{id}", "viewer", 403)


def test_a_prediction_of_another_model(site: Served) -> None:
    id = keep(site, {"rows": [{"tenure": 3}]}, {"predictions": [{"value": 2.5}]})
    look(site, f"/monitoring/other/predictions/{id}", "admin", 404)
    look(site, "/monitoring/sales/predictions/nothere", "admin", 404)


ODD: dict[str, tuple[Any, Any]] = {
    "too long to be kept": (b"", b""),
    "the other protocol": ({"inputs": [{"name": "a", "data": [1]}]}, {"outputs": []}),
    "no rows": ({"rows": []}, {"predictions": []}),
    "rows that are none": ({"rows": [1, None, "x"]}, {"predictions": {"a": 1}}),
    "no object": ([1, 2], "text"),
    "numbers that are none": (
        b'{"rows": [{"a": NaN, "b": 1e999, "c": -1e999}]}',
        {"predictions": [{"value": None}]},
    ),
    "deep": ({"rows": [{"a": {"b": [1, {"c": HOSTILE}]}}]}, {"predictions": [{"label": None}]}),
    "hostile": (
        {"rows": [{HOSTILE: HOSTILE, "": "", "label": True}]},
        {"predictions": [{"label": HOSTILE, "probabilities": {HOSTILE: 1.0}}]},
    ),
    "rows that differ": ({"rows": [{"a": 1}, {"b": 2}] * 9}, {"predictions": [{"value": 1}] * 18}),
}


@pytest.mark.parametrize("what", ODD)
def test_whatever_was_sent_can_be_looked_at(site: Served, what: str) -> None:
    id = keep(site, *ODD[what])
    page = look(site, f"/monitoring/sales/predictions/{id}", "operator")
    assert "<script>alert" not in page
    raw = re.findall(r"<pre.*?</pre>", page, re.DOTALL)
    assert "\u202e" not in "".join(raw), "marks that turn text around are written out"
    if what == "too long to be kept":
        assert page.count("It was too long to be kept.") == 2
    if what == "rows that differ":
        assert "The first 5 of 18 rows" in page
        assert "Row 6" not in page
