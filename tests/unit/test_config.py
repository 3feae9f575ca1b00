"""Settings: typed, with plain errors, and addresses that can be listened on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.addresses import hosts
from appliance.config import find_home, load, settings
from appliance.errors import BadInput


def test_defaults_hold_without_a_file(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert (config.inference.port, config.admin.port, config.inference.grpc_port) == (7601, 7600, 7602)


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "falaj.toml").write_text("[inference]\nport = 9000\nworkers = 3\n")
    config = load(tmp_path, {"FALAJ_INFERENCE_PORT": "9001", "FALAJ_OTHER": "x", "FALAJ_HOME": "/x"})
    assert (config.inference.port, config.inference.workers) == (9001, 3)


@pytest.mark.parametrize(
    ("told", "bounds"),
    [
        ({}, (1, max(1, (os.cpu_count() or 1) - 1))),
        ({"FALAJ_INFERENCE_WORKERS": "2"}, (2, 2)),
        ({"FALAJ_INFERENCE_WORKERS_MAX": "5"}, (1, 5)),
        ({"FALAJ_INFERENCE_WORKERS": "2", "FALAJ_INFERENCE_WORKERS_MAX": "5"}, (2, 5)),
    ],
)
def test_how_many_workers_there_may_be(tmp_path: Path, told: dict[str, str], bounds: tuple[int, int]) -> None:
    config = load(tmp_path, told)
    assert (config.inference_workers, config.inference_workers_max) == bounds


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[inferense]\nport = 1\n", "unknown section"),
        ("[inference]\nprot = 1\n", "unknown setting 'inference.prot'"),
        ("[inference]\nport = 'x'\n", "must be a whole number"),
        ("[inference]\nport = true\n", "must be a whole number"),
        ("[inference]\nport = 1.5\n", "must be a whole number"),
        ("[inference]\nport = -1\n", "must be from 1 to 65535"),
        ("[inference]\nport = 99999\n", "must be from 1 to 65535"),
        ("[inference]\nmax_in_flight = 0\n", "must be from 1"),
        ("[worker]\njobs = 0\n", "must be from 1"),
        ("[inference]\nworkers = 4\nworkers_max = 3\n", "must not be less than inference.workers"),
        ("[jobs]\nheartbeat = 15\n", "at most half of jobs.lease"),
        ("[inference]\nhost = 5\n", "must be a text"),
        ("inference = 5\n", "must be a section"),
        ("[inference\n", "not valid TOML"),
        ("[inference]\nhost = 'nowhere'\n", "not an address"),
        ("[inference]\nhost = ''\n", "'inference.host' names no address"),
        ("[inference]\nhost = '127.0.0.1, 192.168.1.300'\n", "not an address: '192.168.1.300'"),
        ("[admin]\nhost = '127.0.0.1, localhost'\n", "'admin.host' names 'localhost' twice"),
        ("[admin]\nhost = '0.0.0.0, 127.0.0.1'\n", "beside the one that means all"),
        ("[admin]\nhost = '::, ::1'\n", "beside the one that means all"),
        ("[admin]\nhost = '224.0.0.1'\n", "nobody can open"),
        ("[admin]\nhost = 'fe80::1%eth0'\n", "nobody can open"),
        ("[tls]\nnames = 'falaj.lan, *.falaj.lan'\n", r"'tls.names' has something .*: '\*\.falaj\.lan'"),
        ("[tls]\nnames = 'a b'\n", "no name and no address: 'a b'"),
        ("[mdns]\nname = 'falaj'\n", "'mdns.name' is no single name under .local"),
        ("[mdns]\nname = 'a.falaj.local'\n", "no single name under .local"),
        ("[mdns]\nname = 'falaj.lan'\n", "no single name under .local"),
        ("[mdns]\nname = '.local'\n", "no single name under .local"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "falaj.toml").write_text(content)
    with pytest.raises(BadInput, match=message) as told:
        load(tmp_path, {})
    assert told.value.hint


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost,192.168.1.20", ["127.0.0.1", "192.168.1.20"]),
        (" ::1 , fd00:0:0::5,", ["::1", "fd00::5"]),
        ("0.0.0.0", ["0.0.0.0"]),
        ("::ffff:192.168.1.20", ["192.168.1.20"]),
    ],
)
def test_a_host_may_be_several_addresses(tmp_path: Path, host: str, addresses: list[str]) -> None:
    assert hosts(load(tmp_path, {"FALAJ_ADMIN_HOST": host}).admin.host) == addresses


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "falaj.toml").write_text("[inference]\nworkres = 1\n")
    with pytest.raises(BadInput) as told:
        load(tmp_path, {})
    assert "Did you mean 'workers'?" in told.value.hint


def test_a_misspelt_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"unknown setting 'inference\.prot'"):
        load(tmp_path, {"FALAJ_INFERENCE_PROT": "9000"})


def test_every_setting_has_a_line_of_help() -> None:
    assert all(len(help) > 10 and kind in (int, float, str) for *_, kind, _, help in settings())


def test_the_home_is_told_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALAJ_HOME", raising=False)
    assert find_home(str(tmp_path)) == tmp_path
    assert find_home().name == "var"
    monkeypatch.setenv("FALAJ_HOME", str(tmp_path / "x"))
    assert find_home() == tmp_path / "x"
