"""The main job on real data, through the command line and HTTP, as a user does it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.appliance import Appliance

Find = Callable[[str], Path]


def test_adult_end_to_end(appliance: Appliance, shared_data: Find, tmp_path: Path) -> None:
    """Imported, trained to AUC >= 0.92, deployed and asked."""
    added = appliance.json("dataset", "add", "adult", str(shared_data("adult.csv")))
    assert {key: added[key] for key in ("dataset", "version", "rows", "columns")} == {
        "dataset": "adult",
        "version": 1,
        "rows": 48842,
        "columns": 15,
    }
    assert any("'?' is taken as missing" in note for note in added["notes"])
    trained = appliance.json("train", "income", "--dataset", "adult", "--target", "income")
    assert {"run", "model", "version", "task", "metrics", "gate", "seconds"} <= set(trained)
    assert trained["task"] == "binary"
    assert trained["metrics"]["auc"]["value"] >= 0.92
    assert (
        trained["metrics"]["auc"]["low"]
        < trained["metrics"]["auc"]["value"]
        < trained["metrics"]["auc"]["high"]
    )
    assert trained["gate"]["verdict"] in ("pass", "warn")
    deployed = appliance.json("deploy", "income")
    assert (deployed["version"], deployed["mode"], deployed["workers"], deployed["dropped"]) == (
        1,
        "live",
        2,
        0,
    )

    with open(shared_data("adult.csv")) as file:
        first = next(iter(csv.DictReader(file)))
    numbers = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    row = {key: int(value) if key in numbers else value for key, value in first.items() if key != "income"}
    token = appliance.token("income", "--expires", "1d")
    reply = appliance.ask(
        "/predict/income", {"rows": [row, row | {"age": None, "occupation": "juggler"}]}, token
    )
    assert reply.status == 200
    assert (reply.body["model"], reply.body["version"]) == ("income", 1)
    assert [one["label"] for one in reply.body["predictions"]] == ["<=50K", "<=50K"]
    told = appliance.json("predict", "income", "--row", json.dumps(row))
    assert told["predictions"][0] == reply.body["predictions"][0]

    v2 = appliance.ask("/v2/models/income", token=token)
    assert {one["name"] for one in v2.body["inputs"]} == set(row)

    file_answers = tmp_path / "answers.jsonl"
    lines = shared_data("adult.csv").read_text().splitlines()[:51]
    (tmp_path / "some.csv").write_text("\n".join(lines) + "\n")
    many = appliance.json(
        "predict", "income", "--file", str(tmp_path / "some.csv"), "--out", str(file_answers)
    )
    assert len(many["predictions"]) == 50 == len(file_answers.read_text().splitlines())
    assert many["predictions"][0] == reply.body["predictions"][0]

    report = tmp_path / "report.html"
    found = appliance.json("model", "report", "income", "--out", str(report))
    assert found["report"]["holdout"]["rows"] == 9768
    assert "<script" not in report.read_text()
    assert appliance.json("audit", "verify")["ok"]


def test_the_same_content_is_the_same_version(appliance: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(100)))
    first = appliance.json("dataset", "add", "same", str(path))
    again = appliance.json("dataset", "add", "same", str(path))
    assert (first["version"], first["digest"]) == (again["version"], again["digest"])
    path.write_text("a,b\n" + "".join(f"{i},{i % 4}\n" for i in range(100)))
    assert appliance.json("dataset", "add", "same", str(path))["version"] == 2
    shown = appliance.json("dataset", "profile", "same:2")
    assert [column["name"] for column in shown["profile"]["columns"]] == ["a", "b"]


def test_a_refused_version_stays_visible_and_can_be_approved(appliance: Appliance, tmp_path: Path) -> None:
    """Noise can't be learnt: the gate refuses, deploying is refused, and a written reason allows it."""
    path = tmp_path / "noise.csv"
    lines = [
        f"{(i * 7919) % 101},{(i * 104729) % 97},{'yes' if (i * i * 31) % 89 < 44 else 'no'}"
        for i in range(600)
    ]
    path.write_text("a,b,lucky\n" + "\n".join(lines) + "\n")
    appliance.json("dataset", "add", "noise", str(path))
    done = appliance.falaj(
        "train", "luck", "--dataset", "noise", "--target", "lucky", "--algorithm", "linear", "--json"
    )
    trained = json.loads(done.stdout)
    assert (done.returncode, trained["gate"]["verdict"]) == (1, "fail")
    assert any(rule["verdict"] == "fail" and rule["why"] for rule in trained["gate"]["rules"])
    assert appliance.json("model", "versions", "luck")[0]["state"] == "refused"
    told = appliance.refused("deploy", "luck")
    assert "refused by the gate" in told["error"]
    assert "falaj model approve luck:1" in told["hint"]
    assert "written reason" in appliance.refused("model", "approve", "luck:1", "--reason", "ok")["error"]
    appliance.json("model", "approve", "luck:1", "--reason", "agreed with the owner for a trial")
    assert appliance.json("deploy", "luck")["version"] == 1
    entry = next(row for row in appliance.json("audit", "ls") if row["action"] == "model.approve")
    assert entry["detail"] == {"reason": "agreed with the owner for a trial"}


def test_retraining_is_compared_only_where_that_is_fair(appliance: Appliance, tmp_path: Path) -> None:
    """The same rows and seed: compared. More rows: the old version knows some of them, which is said."""
    path = tmp_path / "grow.csv"
    lines = [
        f"{i % 83},{(i * 31) % 97},{'yes' if (i % 83) + (i * 13) % 40 > 60 else 'no'}" for i in range(900)
    ]

    def retrain(rows: int) -> dict[str, object]:
        path.write_text("a,b,c\n" + "\n".join(lines[:rows]) + "\n")
        appliance.json("dataset", "add", "grow", str(path))
        made = appliance.json("train", "grow", "--dataset", "grow", "--target", "c", "--algorithm", "linear")
        return next(rule for rule in made["gate"]["rules"] if rule["rule"] == "not_worse_than_champion")

    assert "no model in use yet" in str(retrain(600)["why"])
    same = retrain(600)
    assert same["verdict"] == "pass"
    assert "grow:1" in str(same["why"])
    more = retrain(900)
    assert more["verdict"] == "warn"
    assert "learnt from grow:1" in str(more["why"])


def test_deploy_roll_back_and_undeploy(appliance: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "line.csv"
    path.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance.json("dataset", "add", "line", str(path))
    for version in (1, 2):
        trained = appliance.json(
            "train", "line", "--dataset", "line", "--target", "y", "--algorithm", "linear"
        )
        assert (trained["version"], trained["task"]) == (version, "regression")
        assert appliance.json("deploy", f"line:{version}")["version"] == version
    token = appliance.token("line")
    assert appliance.ask("/predict/line", {"rows": [{"x": 100}]}, token).body["version"] == 2
    assert appliance.json("rollback", "line")["version"] == 1
    answer = appliance.ask("/predict/line", {"rows": [{"x": 100}]}, token)
    assert answer.body["version"] == 1
    assert answer.body["predictions"][0]["value"] == pytest.approx(305, abs=10)
    states = [one["state"] for one in appliance.json("deployment", "show", "line")["history"]]
    assert states == ["live", "retired", "retired"]
    assert "deployed" in appliance.refused("model", "rm", "line:1")["error"]
    appliance.json("undeploy", "line")
    assert appliance.ask("/predict/line", {"rows": [{"x": 1}]}, token).status == 404
    assert "A model was trained on line:1" in appliance.refused("dataset", "rm", "line:1")["error"]
    appliance.json("model", "rm", "line:1")
    appliance.json("model", "rm", "line:2")
    appliance.json("dataset", "rm", "line:1")
    assert "no model 'line'" in appliance.refused("model", "show", "line")["error"]


def test_a_pinned_runtime_serves_and_one_that_cannot_is_refused(appliance: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "plane.csv"
    path.write_text("x,z,y\n" + "".join(f"{i % 150},{i % 7},{2 * (i % 150) - i % 7}\n" for i in range(300)))
    appliance.json("dataset", "add", "plane", str(path))
    appliance.json("train", "flat", "--dataset", "plane", "--target", "y", "--algorithm", "linear")
    for runtime in ("openvino", "onnxruntime"):
        assert appliance.json("deploy", "flat", "--runtime", runtime)["runtime"] == runtime
        answer = appliance.json("predict", "flat", "--row", '{"x": 50, "z": 1}')
        assert answer["predictions"][0]["value"] == pytest.approx(99, abs=1)
    appliance.json("train", "trees", "--dataset", "plane", "--target", "y", "--algorithm", "lightgbm")
    told = appliance.refused("deploy", "trees", "--runtime", "openvino")
    assert "can't serve trees:1" in told["error"]
    assert "onnxruntime" in told["hint"]


def test_a_token_works_until_it_is_revoked(appliance: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("x,y\n" + "".join(f"{i % 99},{3 * (i % 99)}\n" for i in range(200)))
    appliance.json("dataset", "add", "simple", str(path))
    appliance.json("train", "simple", "--dataset", "simple", "--target", "y", "--algorithm", "linear")
    appliance.json("deploy", "simple")
    made = appliance.json("token", "create", "--models", "simple", "--expires", "2s")
    row = {"rows": [{"x": 5}]}
    assert appliance.ask("/predict/simple", row, made["token"]).status == 200
    assert appliance.ask("/predict/simple", row).status == 401
    assert appliance.ask("/predict/simple", row, made["token"][:-1]).status == 401
    assert appliance.ask("/predict/other", row, made["token"]).status == 403
    time.sleep(2.1)
    expired = appliance.ask("/predict/simple", row, made["token"])
    assert expired.status == 401
    assert "expired on" in expired.body["error"]
    lasting = appliance.json("token", "create", "--models", "simple")
    assert appliance.ask("/predict/simple", row, lasting["token"]).status == 200
    appliance.json("token", "revoke", lasting["id"])
    deadline = time.monotonic() + 5
    while appliance.ask("/predict/simple", row, lasting["token"]).status == 200:
        assert time.monotonic() < deadline
    assert "was revoked" in appliance.ask("/predict/simple", row, lasting["token"]).body["error"]
