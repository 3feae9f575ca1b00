"""The recovery key of a real appliance, at every door, and the data on another machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.config import SYSTEM_HOME
from tests.system.appliance import FALAJ, Appliance

LEARN = ["--dataset", "line", "--target", "y", "--algorithm", "linear", "--keep", "x"]


@dataclass
class Installed(Appliance):
    """On another machine: its /var/lib, with a key of the system's own and the home, is seen by it alone."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"FALAJ_HOME": str(SYSTEM_HOME)}

    @property
    def prefix(self) -> list[str]:
        script = 'mount --bind "$0" /var/lib && exec "$@"'
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(self.home.parent)]

    def falaj(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, FALAJ, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self) -> Installed:
        """The run folder goes by the path that only it sees: its own command asks."""
        process = self.launch()
        for _ in range(120):
            assert process.poll() is None, self.log()
            told = self.falaj("status", "--json")
            if told.returncode == 0 and json.loads(told.stdout)["ready"]:
                return self
            time.sleep(0.2)
        raise AssertionError(f"it was never ready:\n{self.log()}")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    library = tmp_path / "library"
    (library / "systemd").mkdir(parents=True)
    made = Installed(library / SYSTEM_HOME.name)
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    yield made
    made.stop()


def use(appliance: Appliance, typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*appliance.prefix, FALAJ, "recovery", "use"],
        env=appliance.environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_data_opens_on_another_machine(new_appliance: Callable[..., Appliance], tmp_path: Path) -> None:
    old = new_appliance().start()
    admin, viewer = old.set_up(), old.add_user("vera", "viewer")
    assert viewer.get("/api/v1/recovery").status_code == 403
    assert viewer.get("/recovery").status_code == 403
    assert viewer.post("/api/v1/recovery").status_code == 403
    assert "There is no recovery key yet" in admin.get("/recovery").text
    made = admin.post("/recovery/make", data={"csrf": admin.headers["X-CSRF-Token"]})
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    first = old.json("recovery", "make")["key"]
    assert first not in made.text
    key = admin.post("/api/v1/recovery").json()["key"]
    wrong = admin.post("/api/v1/recovery/check", json={"key": first})
    assert wrong.status_code == 403, wrong.text
    typo = ("7" if key[0] != "7" else "8") + key[1:]
    assert "mistyped" in admin.post("/api/v1/recovery/check", json={"key": typo}).json()["error"]
    assert admin.post("/api/v1/recovery/check", json={"key": key}).json()["checked_by"] == "user:mona"
    assert old.json("recovery", "show")["checked_at"]
    assert "already runs" in use(old, key).stderr
    old.stop()
    admin.close()
    viewer.close()
    for secret in (key, first):
        assert secret not in old.log()

    new = new_appliance()
    shutil.rmtree(new.home, ignore_errors=True)
    shutil.copytree(old.home, new.home)
    (new.home / "keys" / "master.key").unlink()
    assert use(new, first).returncode == 1
    done = use(new, key)
    assert done.returncode == 0, done.stderr
    assert "keys/master.key" in done.stdout
    new.start()
    assert new.json("audit", "verify")["ok"]
    assert {user["name"] for user in new.json("user", "ls")} == {"mona", "vera"}
    told = [entry["action"] for entry in new.json("audit", "ls")]
    assert "recovery.use" in told
    assert "recovery.wrong" in told


def test_after_many_wrong_ones_there_is_a_wait(new_appliance: Callable[..., Appliance]) -> None:
    running = new_appliance().start()
    admin = running.set_up()
    first = admin.post("/api/v1/recovery").json()["key"]
    admin.post("/api/v1/recovery")
    codes = [admin.post("/api/v1/recovery/check", json={"key": first}).status_code for _ in range(9)]
    assert codes[:5] == [403] * 5
    assert 429 in codes
    admin.close()


def test_a_sealed_home_opens_elsewhere_by_its_key_alone(installed: Installed, tmp_path: Path) -> None:
    old = Appliance(tmp_path / "old").start()
    table = tmp_path / "line.csv"
    table.write_text("x,y\n" + "".join(f"{i % 200},{3 * (i % 200) + (i * 37) % 11}\n" for i in range(400)))
    old.json("dataset", "add", "line", str(table))
    old.json("train", "line", *LEARN)
    old.json("deploy", "line:1")
    token, key = old.token(), old.json("recovery", "make")["key"]
    answer = old.ask("/predict/line", {"rows": [{"x": 7}]}, token).body["predictions"]
    assert key not in old.falaj("audit", "ls", "--json").stdout
    old.stop()
    command = [Path(FALAJ).parent / "python", "-m", "appliance.daemon", "seal-keys", "--home", old.home]
    subprocess.run(command, check=True, timeout=60)
    before = (old.home / "keys" / "master.cred").read_bytes()
    assert not (old.home / "keys" / "master.key").exists()

    shutil.copytree(old.home, installed.home)
    told = installed.falaj("doctor")
    assert "does not open on this machine" in told.stdout + told.stderr
    done = use(installed, key)
    assert done.returncode == 0, done.stderr
    assert "sealed for this machine" in done.stdout
    assert key not in done.stdout + done.stderr
    assert not (installed.home / "keys" / "master.key").exists()
    assert (installed.home / "keys" / "master.cred").read_bytes() != before
    installed.start()
    assert installed.ask("/predict/line", {"rows": [{"x": 7}]}, token).body["predictions"] == answer
    assert key not in installed.log() + old.log()


def test_no_secret_of_it_is_in_any_file(new_appliance: Callable[..., Appliance]) -> None:
    running = new_appliance().start()
    admin = running.set_up()
    reply = admin.post("/api/v1/recovery")
    assert reply.headers["Cache-Control"] == "no-store"
    key = reply.json()["key"]
    checked = admin.post("/recovery/check", data={"key": key, "csrf": admin.headers["X-CSRF-Token"]})
    assert checked.status_code == 303
    assert checked.headers["Location"] == "/recovery"
    assert "It is the right one." in admin.get("/recovery").text
    wrong = admin.post("/recovery/check", data={"key": key[:-1], "csrf": admin.headers["X-CSRF-Token"]})
    assert wrong.headers["Location"] == "/recovery"
    page = admin.get("/recovery").text
    admin.close()
    running.stop()
    files = [path for path in running.home.rglob("*") if path.is_file()]
    assert len(files) > 5
    for part in key.split("-")[:6]:
        assert part not in page
        assert part not in running.log()
    for path in files:
        content = path.read_bytes()
        assert key.encode() not in content, path
        assert key.replace("-", "").encode() not in content, path
