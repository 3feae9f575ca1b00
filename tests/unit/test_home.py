"""A home is never silently begun anew, and nothing outside it is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance import home as homes
from appliance import presence
from appliance.daemon.rounds import sweep
from appliance.db import Row
from appliance.errors import Corrupted, FalajError
from appliance.home import Home
from appliance.jobs import ledger
from appliance.jobs.ledger import NewJob
from appliance.registry.numbers import next_number


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return homes.create(tmp_path / "home")


def own(home: Home, digest: str) -> None:
    with home.registry.write() as tx:
        tx.insert("blobs", {"digest": digest, "bytes": 1, "owner": "test"})


def test_a_home_is_private(home: Home) -> None:
    for path in (home.path, home.path / "keys", home.path / "blobs", home.run_dir):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_open_home_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    homes.make_folder(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_a_lost_registry_is_not_replaced_by_an_empty_one(home: Home) -> None:
    home.registry.close()
    for path in home.path.glob("registry.db*"):
        path.unlink()
    with pytest.raises(Corrupted, match=r"registry\.db is missing") as told:
        homes.create(home.path)
    assert "backup" in told.value.hint
    with pytest.raises(Corrupted, match=r"registry\.db is missing"):
        homes.open_home(home.path).registry.all("SELECT 1")
    assert not (home.path / "registry.db").exists()


def test_the_sweep_spares_what_a_bad_restore_forgot(home: Home, tmp_path: Path) -> None:
    """An older registry knows less than the audit head: what it doesn't know is then no garbage."""
    home.registry.all("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(home.path / "registry.db", tmp_path / "old.db")
    digest, _ = home.put(b"x")
    with home.registry.write() as tx:
        tx.insert("blobs", {"digest": digest, "bytes": 1, "owner": "test"})
        tx.audit("me", "dataset.add", "dataset:a")
    home.registry.close()
    for path in home.path.glob("registry.db*"):
        path.unlink()
    shutil.copy(tmp_path / "old.db", home.path / "registry.db")
    assert sweep(home, {digest: 0.0}, 10_000.0) == 0
    assert home.blobs.path(digest).exists()


def test_the_sweep_waits_for_running_jobs_and_takes_only_garbage(home: Home) -> None:
    kept, lost, source = (home.put(content)[0] for content in (b"kept", b"lost", b"source"))
    own(home, kept)
    with home.registry.write() as tx:
        first = ledger.add(tx, NewJob("ingest", "a", {"source": source}, 3, 60.0), "me")
        second = ledger.add(tx, NewJob("train", "b", {}, 3, 60.0), "me")
    unowned = dict.fromkeys((kept, lost, source), 0.0)
    job = ledger.claim(home.registry, second, 20.0)
    assert job is not None
    assert sweep(home, unowned, 10_000.0) == 0
    ledger.fail(home.registry, job, FalajError("x"))
    assert sweep(home, unowned, 10_000.0) == 1
    assert [home.blobs.path(digest).exists() for digest in (kept, lost, source)] == [True, False, True]
    ledger.request_cancel(home.registry, first, "me")
    assert sweep(home, {source: 0.0}, 10_000.0) == 1


def test_stopping_removes_only_what_is_ours_from_the_run_folder(home: Home, tmp_path: Path) -> None:
    (tmp_path / "run" / "somebody.else").touch()
    presence.announce(home.run_dir, "admin", {"ready": True})
    presence.poke(home.run_dir)
    (home.run_dir / ".generation.7.8").touch()  # left by a process that was killed
    presence.clear(home.run_dir)
    assert not home.run_dir.exists()
    assert (tmp_path / "run" / "somebody.else").exists()


def test_a_run_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FalajError, match="belongs to somebody else"):
        homes.prepare_run_dir(tmp_path / "link")


def test_a_version_number_is_never_given_twice(home: Home) -> None:
    def take() -> int:
        with home.registry.write() as tx:
            return next_number(tx, "model", "churn")

    assert [take(), take()] == [1, 2]
    with home.registry.write() as tx:
        tx.execute("DELETE FROM models")
    assert take() == 3

    def take_and_fail() -> None:
        with home.registry.write() as tx:
            next_number(tx, "model", "churn")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        take_and_fail()
    assert take() == 4


def test_waiting_until_a_change_was_seen(home: Home) -> None:
    body: Row = {"seen": 0}
    presence.announce(home.run_dir, "tokens", body)
    stamp = presence.poke(home.run_dir)
    assert presence.generation(home.run_dir) == stamp
    assert not presence.wait_until_seen(home.run_dir, "tokens", stamp, seconds=0.05)
    presence.announce(home.run_dir, "tokens", {"seen": presence.stamp_now()})
    assert presence.wait_until_seen(home.run_dir, "tokens", stamp, seconds=0.05)
