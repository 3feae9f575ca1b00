"""N to N+1 and back: on real homes, beside a running appliance, with good, bad and interrupted migrations.

The newer program is this one with one more migration of each database; see `newer/sitecustomize.py`.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import config, presence
from appliance import home as homes
from appliance.cli.client import Client
from appliance.db.audit import read_head, verify
from appliance.errors import Conflict
from appliance.registry import deployments, models
from appliance.runtimes.proof import Proof
from appliance.security.local_token import make_local_token
from appliance.upgrade import held, snapshots
from tests.conftest import ROOT
from tests.system import processes
from tests.system.appliance import Appliance, Reply
from tests.system.service import Service

NEWER = Path(__file__).parent / "newer"
DATABASES = ("registry.db", "telemetry.db")
NOBODY = 65534


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home in which `line` answers, and a token for it."""
    folder = tmp_path_factory.mktemp("seed")
    table = folder / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    appliance = Appliance(folder / "home").start()
    appliance.json("dataset", "add", "line", str(table))
    appliance.json(
        "train", "line", "--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"
    )
    appliance.json("deploy", "line")
    token = appliance.token("*")
    appliance.stop()
    return appliance.home, token


@pytest.fixture
def home(seed: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(seed[0], tmp_path / "home"))


# As upgrade.sh does it: the first step shows that the second will work.
BOTH = """
import os, subprocess, sys
home, *versions = sys.argv[1:]
step = [sys.executable, "-m", "appliance.daemon"]
mine = os.environ | {"FALAJ_PARENT": str(os.getpid())}  # killed, it takes the step along
code = subprocess.run([*step, "upgrade", "--home", home, *versions], env=mine).returncode
code or os.execv(sys.executable, [*step, "migrate", "--home", home, *versions])
sys.exit(code)
"""


def begin(
    home: Path, role: str = "upgrade", *more: str, kind: str = "adds", **told: str
) -> subprocess.Popen[str]:
    """A step of the newer program; `kind`: of its migrations."""
    step = ["-m", "appliance.daemon", role, "--home", str(home)]
    if role == "upgrade":
        step = ["-c", BOTH, str(home), "--from", "0.1.0", "--to", "0.2.0"]
    return subprocess.Popen(
        [sys.executable, *step, *more],
        env=os.environ | {"PYTHONPATH": str(NEWER), "NEWER": kind} | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def done(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=120)
    return process.returncode, told.strip()


def predicted(appliance: Appliance, token: str) -> Reply:
    return appliance.ask("/predict/line", {"rows": [{"x": 10}]}, token)


def bytes_of(home: Path) -> list[bytes]:
    return [(home / name).read_bytes() for name in DATABASES]


def left_over(home: Path) -> list[str]:
    return [one.name for one in (home / "upgrade").glob("*") if one.name.startswith(".")]


def back() -> list[str]:
    """What `take-back` is told: from where to where, and what the old program knows."""
    asked = [sys.executable, "-m", "appliance.daemon", "migrations", "--home", "/"]
    known = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    return ["--from", "0.1.0", "--to", "0.2.0", "--known", known]


def test_to_the_next_version_beside_a_running_one_and_back(
    seed: tuple[Path, str], home: Path, new_appliance: Callable[..., Appliance]
) -> None:
    old = new_appliance(home).start()
    before = old.json("status")["roles"]
    wrong: list[object] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            reply = predicted(old, seed[1])
            if reply.status != 200:
                wrong.append(reply)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert done(begin(home)) == (0, "")
        made = threading.Event()
        made.wait(6)  # the workers look at the registry again, and read rows with more columns
    finally:
        over.set()
        asking.join()
    assert wrong == [], "the old program did not answer throughout"
    after = old.json("status")
    assert after["roles"]["inference"]["pids"] == before["inference"]["pids"]
    assert after["roles"]["inference"]["lost"] == {}
    assert after["ready"]
    token = old.token("line")
    assert predicted(old, token).status == 200, "it can't read the new rows"
    old.stop()

    with pytest.raises(Conflict, match="newer version"):
        homes.open_home(home)
    with pytest.raises(Conflict, match="newer version"):
        homes.create(home)
    assert "newer version" in old.refused("run")["error"]

    new = new_appliance(home, PYTHONPATH=str(NEWER), NEWER="adds").start()
    assert predicted(new, seed[1]).status == 200
    entries = new.json("audit", "ls", "--limit", "9")
    assert ("upgrade.done", {"from": "0.1.0", "to": "0.2.0"}) in [(e["action"], e["detail"]) for e in entries]
    (kept,) = new.json("upgrade", "show")["snapshots"]
    assert (kept["from"], kept["to"]) == ("0.1.0", "0.2.0")
    code, told = done(begin(home, "take-back", *back()))
    assert (code, "already runs" in told) == (1, True), told
    new.token("*")  # is not in the snapshot
    new.stop()

    assert done(begin(home, "take-back", *back())) == (0, "0.1.0-0.2.0")
    assert (next((home / "upgrade").glob("after-*")) / "registry.db").exists()
    again = new_appliance(home).start()
    assert predicted(again, seed[1]).status == 200
    assert again.json("audit", "verify")["ok"]
    told = [(one["action"], one["detail"]) for one in again.json("audit", "ls", "--limit", "9")]
    then = {"from": "0.2.0", "to": "0.1.0", "snapshot": "0.1.0-0.2.0"}
    assert ("upgrade.back", then) in told, "and what it took over is gone with the chain of then"
    assert len(again.json("token", "ls")) == 1
    assert done(begin(home, "take-back", *back()))[0] == 1
    again.stop()
    assert done(begin(home, "take-back", *back())) == (0, ""), "nothing was to be done"


def test_the_endpoint_is_handed_over_and_nobody_is_refused(seed: tuple[Path, str], home: Path) -> None:
    """As systemd does it: the socket stays open between the old program and the new; who asks then waits."""
    run_dir = config.load(home).run_dir
    homes.prepare_run_dir(run_dir)
    make_local_token(run_dir)
    door = socket.create_server(("127.0.0.1", 0), backlog=1024)
    waited: list[float] = []
    wrong: list[object] = []
    over = threading.Event()
    caller = Appliance(home, port=door.getsockname()[1])

    def ask() -> None:
        while not over.is_set():
            begun = time.monotonic()
            try:
                reply = predicted(caller, seed[1])
                wrong.extend([reply] if reply.status != 200 else [])
            except OSError as error:
                wrong.append(error)
            waited.append(time.monotonic() - begun)

    own = {"FALAJ_INFERENCE_WORKERS": "1", "FALAJ_INFERENCE_WORKERS_MAX": "1"}
    newer = own | {"PYTHONPATH": str(NEWER), "NEWER": "adds"}
    old = Service("inference", home, own, watchdog=60, sockets=[("inference", door)])
    asking = threading.Thread(target=ask)
    try:
        old.hear("READY=1", seconds=20)
        asking.start()
        assert done(begin(home)) == (0, "")
        assert old.stop() == 0
        new = Service("inference", home, newer, watchdog=60, sockets=[("inference", door)])
        try:
            new.hear("READY=1")
            over.wait(1)
            over.set()
            asking.join()
        finally:
            new.end()
    finally:
        over.set()
        old.end()
        door.close()
        presence.clear(run_dir)
    assert wrong == []
    print(f"{len(waited)} answered; the longest waited {max(waited):.2f} s")


def test_cut_short_between_the_two_databases(home: Path) -> None:
    """A power cut between the two commits: the old program keeps off, the next try completes it."""
    assert done(begin(home)) == (0, "")
    (kept,) = snapshots.all_of(home)
    shutil.copy2(kept.path / "registry.db", home / "registry.db")
    with pytest.raises(Conflict, match="newer version"):
        homes.open_home(home)
    assert done(begin(home)) == (0, "")
    assert snapshots.all_of(home) == [kept], "the snapshot is no longer of the old program"
    assert done(begin(home, "take-back", *back())) == (0, "0.1.0-0.2.0")
    homes.open_home(home)


def test_the_newest_two_snapshots_are_kept(home: Path) -> None:
    opened = homes.open_home(home)
    for number in range(4):
        staged = snapshots.stage(opened, f"{number}", f"{number + 1}")
        snapshots.keep(opened, staged, f"{number}", f"{number + 1}")
    assert [one.path.name for one in snapshots.all_of(home)] == ["3-4", "2-3"]
    assert sorted(one.name for one in (home / "upgrade").iterdir()) == ["2-3", "3-4"]


def test_going_back_needs_a_snapshot_that_fits(home: Path) -> None:
    assert done(begin(home)) == (0, "")
    shutil.rmtree(home / "upgrade" / "0.1.0-0.2.0")
    before = bytes_of(home)
    code, told = done(begin(home, "take-back", *back()))
    assert (code, told) == (1, "There is no snapshot that the version before could read.")
    assert bytes_of(home) == before


BAD = {
    "raises": "RuntimeError: half way",
    "damages": "registry.db would not be as the program needs it",
    "loses": "registry.db would lose rows of tokens",
    "forges": "The audit chain would be broken: entry 1 was changed",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_migration_harms_nothing(home: Path, kind: str) -> None:
    before = bytes_of(home)
    code, told = done(begin(home, kind=kind))
    assert code == 1
    assert BAD[kind] in told
    assert "\n" not in told
    assert bytes_of(home) == before
    assert list((home / "upgrade").iterdir()) == []
    homes.open_home(home)


@pytest.mark.parametrize("kind", ["damages", "forges", "loses"])
def test_without_the_rehearsal_a_bad_migration_does_harm(home: Path, kind: str) -> None:
    """The teeth of the test above."""
    before = bytes_of(home)
    assert done(begin(home, kind=kind, UNREHEARSED="yes"))[0] == 0
    assert bytes_of(home) != before


@pytest.mark.parametrize("kind", ["adds", ""])
def test_a_model_that_would_answer_otherwise_holds_the_upgrade(home: Path, kind: str) -> None:
    """Also one that leaves the databases as they are."""
    opened = homes.open_home(home)
    (live,) = deployments.serving(opened.registry)
    version = models.find_version(opened.registry, live.model, live.version)
    proof = Proof.unpack(opened.get(version.proof))
    digest, _ = opened.put(replace(proof, expected=proof.expected + 1).pack())
    with opened.registry.write() as tx:
        tx.execute("UPDATE versions SET proof = ?", (digest,))
    opened.registry.close()
    before = bytes_of(home)
    code, told = done(begin(home, kind=kind) if kind else begin(home, PYTHONPATH=""))
    assert code == 1
    assert told.startswith("line:1 would not answer as before: "), told
    assert bytes_of(home) == before


def test_a_chain_that_was_broken_before_is_no_reason_to_stay(home: Path) -> None:
    opened = homes.open_home(home)
    with opened.registry.write() as tx:
        tx.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 1")
    opened.registry.close()
    assert done(begin(home)) == (0, "")


def test_a_setting_that_is_refused_holds_the_upgrade(home: Path) -> None:
    (home / "falaj.toml").write_text("[inference]\nport = 'none'\n")
    before = bytes_of(home)
    code, told = done(begin(home))
    assert code == 1
    assert "port" in told
    assert bytes_of(home) == before


def test_nothing_to_change_leaves_no_snapshot(home: Path, tmp_path: Path) -> None:
    assert done(begin(home, PYTHONPATH="")) == (0, "")
    assert snapshots.all_of(home) == []
    assert done(begin(tmp_path / "none")) == (0, "")
    assert not (tmp_path / "none").exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_too_little_room(seed: tuple[Path, str], small: Path) -> None:
    home = Path(shutil.copytree(seed[0], small / "home"))
    before = bytes_of(home)
    code, told = done(begin(home))
    assert code == 1
    assert told.startswith("The upgrade needs "), told
    assert bytes_of(home) == before
    assert not (home / "upgrade").exists()


def test_killed_at_any_moment(seed: tuple[Path, str], tmp_path: Path) -> None:
    """What is there then is the old, or the next try completes the new; the snapshot is always the old."""
    expected = {name: len(names) for name, names in snapshots.applied(homes.open_home(seed[0])).items()}
    begun = time.monotonic()
    first = Path(shutil.copytree(seed[0], tmp_path / "first"))
    assert done(begin(first, kind="lasts")) == (0, "")
    whole = time.monotonic() - begun
    found = {"old": 0, "new": 0}
    for number in range(15):
        home = Path(shutil.copytree(seed[0], tmp_path / f"home{number}"))
        process = begin(home, kind="lasts")
        time.sleep(random.uniform(0.2, 1.05) * whole)
        process.kill()
        process.communicate()
        try:
            opened = homes.open_home(home)
            entries = opened.registry.all("SELECT * FROM audit ORDER BY seq")
            assert verify(opened.keys.key("audit"), entries, None).entries == len(entries)
            assert opened.registry.faults() == opened.telemetry.faults() == ""
            opened.registry.close()
            opened.telemetry.close()
            found["old"] += 1
        except Conflict:
            found["new"] += 1
        assert done(begin(home, kind="lasts")) == (0, "")
        assert done(begin(home, kind="lasts")) == (0, ""), "it was not complete"
        (kept,) = snapshots.all_of(home)
        assert {name: len(names) for name, names in kept.names.items()} == expected
        assert left_over(home) == []
    print(found)
    assert found["old"]


def test_a_way_back_that_is_killed_is_done_by_doing_it_again(seed: tuple[Path, str], tmp_path: Path) -> None:
    first = Path(shutil.copytree(seed[0], tmp_path / "first"))
    assert done(begin(first)) == (0, "")
    kept = Path(shutil.copytree(first, tmp_path / "kept"))
    begun = time.monotonic()
    assert done(begin(first, "take-back", *back())) == (0, "0.1.0-0.2.0")
    whole = time.monotonic() - begun
    for number in range(15):
        home = Path(shutil.copytree(kept, tmp_path / f"home{number}"))
        process = begin(home, "take-back", *back())
        time.sleep(random.uniform(0.5, 1.0) * whole)
        process.kill()
        process.communicate()
        assert done(begin(home, "take-back", *back()))[0] == 0
        opened = homes.open_home(home)  # as the old program does
        entries = opened.registry.all("SELECT * FROM audit ORDER BY seq")
        assert verify(opened.keys.key("audit"), entries, read_head(home)).ok
        assert entries[-1]["action"] == "upgrade.back"
        assert opened.registry.faults() == opened.telemetry.faults() == ""
        opened.registry.close()
        opened.telemetry.close()


def test_a_way_back_that_was_cut_short_is_completed_by_the_next_start(
    seed: tuple[Path, str], home: Path, new_appliance: Callable[..., Appliance]
) -> None:
    """The note says that the version before goes on, and the data are still the newer one's."""
    assert done(begin(home)) == (0, "")
    held.write(home, "0.1.0", "0.2.0", "Its endpoint did not start.")
    (home / "registry.db.back").write_bytes(b"half")
    appliance = new_appliance(home).start()
    assert predicted(appliance, seed[1]).status == 200
    assert appliance.json("audit", "verify")["ok"]
    assert "upgrade.back" in [one["action"] for one in appliance.json("audit", "ls", "--limit", "5")]
    assert not list(home.glob("*.back"))
    appliance.stop()


def test_everything_but_the_keys_is_done_as_the_owner(seed: tuple[Path, str]) -> None:
    """Root starts it; what it makes belongs to the owner, who can go on with it."""
    assert os.geteuid() == 0, "this test has to be run as root"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(shutil.copytree(seed[0], Path(folder) / "home"))
        for one in (home, *home.rglob("*")):
            os.chown(one, NOBODY, NOBODY)
        os.chown(home / "keys" / "master.key", 0, 0)  # as one that is sealed for root
        assert done(begin(home)) == (0, "")
        assert not list((home / "upgrade").glob("*/keys")), "an old key must not open what a new one seals"
        made = [home / "upgrade", *(home / "upgrade").rglob("*"), *home.glob("*.db*")]
        assert {one.stat().st_uid for one in made} == {NOBODY}
        assert [one for one in made if one.stat().st_mode & 0o077] == []


def test_an_upgrade_that_is_held_is_told(home: Path, new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance(home).start()
    assert appliance.json("status")["troubles"] == []
    held.write(home, "0.1.0", "0.2.0", "It was not to be.")
    (trouble,) = appliance.json("status")["troubles"]
    assert trouble["trouble"] == "Version 0.2.0 could not take over: It was not to be. Version 0.1.0 goes on."
    assert "falaj upgrade retry" in trouble["fix"]
    assert appliance.json("upgrade", "show")["held"]["why"] == "It was not to be."
    bad = [one for one in Client(home).call("doctor", quick=True) if not one["ok"]]
    assert [one["check"] for one in bad] == ["upgrade"]
    opened = homes.open_home(home)
    snapshots.keep(opened, snapshots.stage(opened, "0.0.9", "0.1.0"), "0.0.9", "0.1.0")
    with contextlib.closing(appliance.set_up()) as browser:
        page = browser.get("/checks").text
    assert trouble["trouble"] in page
    assert "Snapshot before version 0.1.0, of version 0.0.9" in page
    for command in ("back", "retry"):
        arguments = ["back", "--yes"] if command == "back" else [command]
        assert appliance.refused("upgrade", *arguments)["error"].startswith("Only the installed appliance")
    held.path_of(home).unlink()
    processes.until(lambda: not appliance.json("status")["troubles"])
    appliance.stop()
    assert appliance.json("upgrade", "show")["held"] is None
