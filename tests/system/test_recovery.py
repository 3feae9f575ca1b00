"""The recovery key of a real appliance, at every door, and the data on another machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.system.appliance import FALAJ, Appliance


def use(appliance: Appliance, typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FALAJ, "recovery", "use"],
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
