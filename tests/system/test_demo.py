"""`falaj demo`: the whole life of a model, with the default settings and no failed request."""

from __future__ import annotations

from pathlib import Path

from tests.system.appliance import Appliance


def test_the_demo_shows_the_whole_life_of_a_model(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path / "home", {"FALAJ_INFERENCE_WORKERS": "1"}).start()
    try:
        shown = appliance.json("demo")
        assert shown["failed_requests"] == 0
        assert shown["deploy"] == {"dropped": 0}
        assert shown["drift_alert"]["model"] == "breast-cancer"
        assert "mean radius" in shown["drift_alert"]["features"]
        values = {one["name"]: one for one in shown["models"]}
        assert values["digits"]["runtime"] == "openvino"
        assert values["digits"]["value"] >= 0.95
        assert values["breast-cancer"]["value"] >= 0.98
        history = appliance.json("deployment", "show", "breast-cancer")["history"]
        assert [(one["version"], one["state"]) for one in history] == [
            (1, "live"),
            (2, "retired"),
            (1, "retired"),
        ]
        (alert,) = appliance.json("alert", "ls")  # only of the model whose rows have changed
        assert alert["model"] == "breast-cancer"
        assert appliance.json("drift", "digits")["verdict"] in ("stable", "undecided")
        assert appliance.json("audit", "verify")["ok"]
    finally:
        appliance.stop()
