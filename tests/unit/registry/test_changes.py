"""Settings that changed between two starts are in the audit chain, by whatever means they changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance import home as homes
from appliance.db import audit
from appliance.home import Home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "home"


def entries(home: Home) -> list[dict[str, Any]]:
    rows = home.registry.all("SELECT detail FROM audit WHERE action = 'settings.changed' ORDER BY seq")
    return [json.loads(row["detail"]) for row in rows]


def started(folder: Path, content: str | None = None) -> Home:
    if content is not None:
        (folder / "falaj.toml").write_text(content)
    return homes.create(folder)


def test_nothing_to_say_of_defaults(folder: Path) -> None:
    started(folder)
    assert entries(started(folder)) == []


def test_the_first_start_records_what_is_not_the_default(folder: Path) -> None:
    folder.mkdir()
    found = entries(started(folder, "[inference]\nport = 7700\nworkers = 0\n"))
    assert found == [{"inference.port": {"old": 7601, "new": 7700}}]


def test_each_change_once_and_back_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(folder)
    started(folder, '[admin]\nhost = "0.0.0.0"\n')
    started(folder)
    monkeypatch.setenv("FALAJ_JOBS_LEASE", "30")
    started(folder, "")
    monkeypatch.delenv("FALAJ_JOBS_LEASE")
    home = started(folder)
    assert entries(home) == [
        {"admin.host": {"old": "127.0.0.1", "new": "0.0.0.0"}},
        {"admin.host": {"old": "0.0.0.0", "new": "127.0.0.1"}, "jobs.lease": {"old": 20.0, "new": 30.0}},
        {"jobs.lease": {"old": 30.0, "new": 20.0}},
    ]
    rows = home.registry.all("SELECT * FROM audit ORDER BY seq")
    assert audit.verify(home.keys.key("audit"), rows, audit.read_head(home.path)).ok


def test_opening_is_no_start(folder: Path) -> None:
    started(folder)
    (folder / "falaj.toml").write_text("[inference]\nport = 7700\n")
    assert entries(homes.open_home(folder)) == []
