"""A model in use is watched: drift is noticed and named, stable data is not, and what was asked is kept."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle, islice
from typing import Any

import pytest

from appliance.cli.client import Client
from appliance.cli.demo_examples import Example, Rows, breast_cancer, upper_tail
from tests.system.appliance import Appliance
from tests.system.processes import until

EXAMPLE = breast_cancer()


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    made = Appliance(tmp_path_factory.mktemp("watched") / "home").start()
    made.set_up().close()
    teach(made, EXAMPLE)
    yield made
    made.stop()


def teach(appliance: Appliance, example: Example) -> None:
    table = appliance.home.parent / "table.csv"
    table.write_bytes(example.csv())
    appliance.json("dataset", "add", "rows", str(table))


def begin(appliance: Appliance, model: str) -> Callable[[Rows, int], list[Any]]:
    """Train and deploy a model of its own for a test; a function that asks it."""
    more = ("--dataset", "rows", "--target", EXAMPLE.target, "--algorithm", "linear")
    appliance.json("train", model, *more)
    appliance.json("deploy", model)
    token = appliance.token(model)

    def ask(rows: Rows, count: int) -> list[Any]:
        replies = []
        with closing(HTTPConnection("127.0.0.1", appliance.port, timeout=30)) as connection:
            for row in islice(cycle(rows), count):
                body = json.dumps({"rows": [row]})
                connection.request("POST", f"/predict/{model}", body, {"Authorization": f"Bearer {token}"})
                reply = connection.getresponse()
                content = reply.read()
                assert reply.status == 200, content
                replies.append(json.loads(content))
        return replies

    return ask


def shuffled() -> Rows:
    return random.Random(3).sample(EXAMPLE.rows, len(EXAMPLE.rows))


def alerts(appliance: Appliance, model: str) -> list[dict[str, Any]]:
    return [one for one in Client(appliance.home).call("alert.ls", all=True) if one["model"] == model]


def windows(appliance: Appliance, model: str) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = Client(appliance.home).call("drift", model=model, windows=50)["history"]
    return history


def test_an_upper_tail_is_noticed_named_and_passes(appliance: Appliance) -> None:
    """The second column of the issue; the demo does the same with another one. Default thresholds."""
    ask = begin(appliance, "tail")
    ask(shuffled(), 600)
    until(lambda: windows(appliance, "tail"))
    assert alerts(appliance, "tail") == []
    assert appliance.json("status")["alerts"] == 0
    tail = upper_tail(EXAMPLE.rows, "worst texture")
    ask(tail, 600)
    (alert,) = until(lambda: alerts(appliance, "tail"))
    assert set(alert) >= {"id", "model", "rule", "state", "features", "opened"}
    assert (alert["rule"], alert["state"]) == ("drift", "open")
    assert alert["features"][0] in ("worst texture", "mean texture")  # the two measure nearly the same
    assert "worst texture" in alert["features"]
    assert appliance.json("status")["alerts"] == 1

    found = appliance.json("drift", "tail")
    assert set(found) >= {"model", "window", "verdict", "features"}
    assert found["verdict"] == "drifted"
    worst = next(one for one in found["features"] if one["name"] == "worst texture")
    assert worst["drifted"]
    assert worst["p"] < 0.001
    assert worst["score"] > 0.1

    seen = len(windows(appliance, "tail"))
    ask(tail, 600)
    until(lambda: len(windows(appliance, "tail")) > seen)
    assert [one["id"] for one in alerts(appliance, "tail")] == [alert["id"]]  # it does not repeat itself
    for _ in range(2):
        seen = len(windows(appliance, "tail"))
        ask(shuffled(), 600)
        until(lambda seen=seen: len(windows(appliance, "tail")) > seen)
    (alert,) = until(lambda: [one for one in alerts(appliance, "tail") if one["state"] == "resolved"])
    assert alert["resolved_by"] == "system"
    assert "alert.resolve" in {one["action"] for one in appliance.json("audit", "ls")}


def test_stable_data_sees_no_alert(appliance: Appliance) -> None:
    """Ten windows of rows in no order, as in training."""
    ask = begin(appliance, "stable")
    rows = shuffled()
    for number in range(10):
        ask(random.Random(number).sample(rows, 520), 520)
        until(lambda number=number: len(windows(appliance, "stable")) > number)
    assert {one["verdict"] for one in windows(appliance, "stable")} == {"stable"}
    assert alerts(appliance, "stable") == []


def test_people_acknowledge_and_resolve(appliance: Appliance) -> None:
    ask = begin(appliance, "told")
    ask(upper_tail(EXAMPLE.rows, "mean area"), 600)
    (alert,) = until(lambda: alerts(appliance, "told"))
    number = str(alert["id"])
    assert "told" in appliance.falaj("alert", "ls").stdout
    assert appliance.json("alert", "ack", number)["state"] == "acknowledged"
    assert "already" in appliance.refused("alert", "ack", number)["error"]
    shown = appliance.json("alert", "resolve", number)
    assert shown["state"] == "resolved"
    assert shown["resolved_by"].startswith("cli:")
    assert "already" in appliance.refused("alert", "resolve", number)["error"]
    assert appliance.refused("alert", "resolve", "99999")["error"] == "There is no alert 99999."
    assert number not in [str(one["id"]) for one in appliance.json("alert", "ls")]
    assert number in [str(one["id"]) for one in appliance.json("alert", "ls", "--all")]


def test_a_prediction_is_found_by_its_number(appliance: Appliance) -> None:
    ask = begin(appliance, "kept")
    row = EXAMPLE.rows[7]
    (reply,) = ask([row], 1)
    id = reply["request_id"]
    client = Client(appliance.home)
    until(lambda: [one for one in client.call("prediction.ls", model="kept") if one["request_id"] == id])
    shown = appliance.json("prediction", "show", id)
    assert shown["request"] == {"rows": [row]}
    assert shown["reply"] == reply
    assert (shown["model"], shown["version"], shown["rows"]) == ("kept", 1, 1)
    assert shown["token"] in {one["id"] for one in appliance.json("token", "ls")}
    assert "no kept prediction" in appliance.refused("prediction", "show", "0" * 32)["error"]


def test_every_request_is_in_the_metrics_of_both_ports(appliance: Appliance) -> None:
    """Two workers answer; whichever is asked, it tells of all."""
    ask = begin(appliance, "counted")
    for _ in range(6):  # a connection each, so that both workers get some
        ask(shuffled(), 20)
    token = appliance.token("counted")
    bad = appliance.ask("/predict/counted", {"rows": [{"no such": 1}]}, token)
    assert bad.status == 422
    role = str(appliance.json("token", "create", "--role", "viewer")["token"])

    def complete(text: str) -> bool:
        return all(
            line in text
            for line in (
                'falaj_requests_total{model="counted",status="200"} 120\n',
                'falaj_requests_total{model="counted",status="422"} 1\n',
                'falaj_request_seconds_count{model="counted"} 121\n',
                'falaj_rows_total{model="counted"} 120\n',
            )
        )

    def endpoint() -> str:
        with closing(HTTPConnection("127.0.0.1", appliance.port, timeout=30)) as connection:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            assert reply.getheader("content-type") == "text/plain; version=0.0.4"
            return reply.read().decode()

    def management() -> str:
        reply = appliance.page("GET", "/metrics", headers={"Authorization": f"Bearer {role}"})
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/plain; version=0.0.4"
        return reply.text

    for scrape in (endpoint, management):
        until(lambda scrape=scrape: complete(scrape()))
        for _ in range(5):
            assert complete(scrape())
    assert 'falaj_processes{role="inference"} 2\n' in management()
    assert complete(appliance.falaj("metrics").stdout)
    nobody = appliance.page("GET", "/metrics")
    assert nobody.status_code == 401
    assert nobody.headers["content-type"] == "application/json"
    shown = appliance.json("traffic", "counted", "--hours", "1")
    assert shown["models"]["counted"]["requests"] == 121
    assert shown["models"]["counted"]["refused"] == 1
    assert sum(one["requests"] for one in shown["series"]) == 121


def test_counts_survive_a_kill(appliance: Appliance) -> None:
    """What was flushed stays; a worker that comes back goes on counting."""
    ask = begin(appliance, "again")
    ask(shuffled(), 50)
    client = Client(appliance.home)

    def requests() -> int:
        models = client.call("traffic", model="again")["models"]
        return int(models["again"]["requests"]) if "again" in models else 0

    until(lambda: requests() == 50)
    appliance.kill()
    appliance.start()
    ask(shuffled(), 30)
    until(lambda: requests() == 80)
    assert appliance.falaj("traffic", "again").stdout.startswith("model")
