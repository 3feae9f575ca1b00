"""`falaj config set` edits the owner's file: comments stay, a wrong value changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import config
from appliance.cli import settings_file
from appliance.errors import BadInput, FalajError

OWNED = """\
# the till needs this port
[inference]
port = 7700   # was 7601 until May
workers = 2

# nights only
[jobs]
timeout = 7200.0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "falaj.toml"
    made.write_text(OWNED)
    return made


def test_comments_and_order_stay(file: Path) -> None:
    edited = settings_file.set_value(file.parent, "inference.port", "7710")
    assert (edited.old, edited.new) == (7700, 7710)
    assert file.read_text() == OWNED.replace("7700", "7710")


def test_a_new_section_comes_at_the_end(file: Path) -> None:
    settings_file.set_value(file.parent, "admin.port", "7709")
    assert file.read_text() == OWNED + "\n[admin]\nport = 7709\n"


def test_unset_takes_out_only_that_line(file: Path) -> None:
    edited = settings_file.unset(file.parent, "inference.workers")
    assert (edited.old, edited.new) == (2, 0)
    assert file.read_text() == OWNED.replace("workers = 2\n", "")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("inference.prot", "1", "no setting 'inference.prot'"),
        ("port", "1", "no setting 'port'"),
        ("inference.port", "seven", "must be a whole number"),
        ("inference.port", "0", "from 1 to 65535"),
        ("inference.host", "nowhere", "not an address"),
        ("jobs.lease", "3", "at most half of jobs.lease"),
        ("inference.workers_max", "1", "must not be less than inference.workers"),
    ],
)
def test_a_wrong_value_changes_nothing(file: Path, setting: str, value: str, said: str) -> None:
    before = (file.read_text(), file.stat().st_ino)
    with pytest.raises(BadInput, match=said) as told:
        settings_file.set_value(file.parent, setting, value)
    assert told.value.hint
    assert (file.read_text(), file.stat().st_ino) == before
    assert list(file.parent.iterdir()) == [file]


def test_an_unknown_setting_names_the_nearest(file: Path) -> None:
    with pytest.raises(BadInput) as told:
        settings_file.set_value(file.parent, "inference.prot", "1")
    assert "Did you mean 'inference.port'?" in told.value.hint


def test_a_wrong_name_in_the_file_can_be_taken_out(file: Path) -> None:
    file.write_text(OWNED + "\n[drift]\nrwos = 500\n")
    with pytest.raises(BadInput, match=r"drift\.rwos"):
        settings_file.set_value(file.parent, "admin.port", "7709")
    settings_file.unset(file.parent, "drift.rwos")
    assert config.load(file.parent, {}).drift.rows == 500


@pytest.mark.parametrize("content", ["[inference\n", "inference = 5\n", '"a\n'])
def test_a_broken_file_is_left_alone(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(BadInput):
        settings_file.set_value(file.parent, "inference.port", "7709")
    assert file.read_text() == content


@pytest.mark.parametrize(
    "written",
    ["inference.port = 7700\n", "inference = {port = 7700}\n", "[inference]\r\nport = 7700\r\n"],
)
def test_other_ways_to_write_it(file: Path, written: str) -> None:
    file.write_text(written)
    settings_file.set_value(file.parent, "inference.port", "7709")
    settings_file.set_value(file.parent, "inference.workers", "3")
    held = config.load(file.parent, {}).inference
    assert (held.port, held.workers) == (7709, 3)


def test_a_new_file_is_the_owners(tmp_path: Path) -> None:
    """Also where root writes it into somebody else's data directory."""
    os.chown(tmp_path, 4242, 4242)
    old = os.umask(0o077)
    try:
        settings_file.set_value(tmp_path, "inference.port", "7709")
    finally:
        os.umask(old)
    found = (tmp_path / "falaj.toml").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (4242, 4242, 0o600)


def test_a_link_in_a_home_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Its owner could otherwise have root write any file."""
    target = tmp_path / "elsewhere.toml"
    target.write_text("[inference]\nworkers = 2\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "falaj.toml").symlink_to(target)
    settings_file.set_value(tmp_path / "home", "inference.port", "7709")
    assert target.read_text() == "[inference]\nworkers = 2\n"
    assert not (tmp_path / "home" / "falaj.toml").is_symlink()


def test_no_home_no_file(tmp_path: Path) -> None:
    with pytest.raises(FalajError, match="no appliance"):
        settings_file.set_value(tmp_path / "none", "inference.port", "7709")


NUMBERS = [(f"{s}.{k}", kind) for s, k, kind, *_ in config.settings() if kind in (int, float)]


@given(st.data())
def test_what_is_set_is_what_holds_and_unset_goes_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any run of edits: the file always loads, and holds what was accepted last."""
    home = tmp_path_factory.mktemp("home")
    wanted: dict[str, float] = {}
    for _ in range(data.draw(st.integers(1, 8))):
        setting, kind = data.draw(st.sampled_from(NUMBERS))
        if setting in wanted and data.draw(st.booleans()):
            try:
                settings_file.unset(home, setting)
            except BadInput:  # the other one of a pair needs it
                continue
            del wanted[setting]
            continue
        value = data.draw(st.integers(0, 100000))
        try:
            settings_file.set_value(home, setting, str(value))
        except BadInput:
            continue
        wanted[setting] = kind(value)
    held = config.load(home, {})
    assert {name: held.value(name) for name in wanted} == wanted
    assert set(held.told_by) == set(wanted)
