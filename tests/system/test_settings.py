"""Settings from the command to what runs: in a home of one's own, and as root of the installed appliance."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.appliance import FALAJ, Appliance
from tests.system.test_hard_times import complaints


def changes(appliance: Appliance) -> list[dict[str, dict[str, object]]]:
    entries = appliance.json("audit", "ls", "--limit", "1000")
    return [one["detail"] for one in reversed(entries) if one["action"] == "settings.changed"]


def test_a_setting_from_the_command_to_the_records(new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance().start()
    first = changes(appliance)
    assert len(first) == 1  # the ports of the test
    browser = appliance.set_up()

    done = appliance.json("config", "set", "worker.jobs", "1")
    assert (done["old"], done["value"], done["restarted"]) == (2, 1, False)
    assert appliance.falaj("config", "get", "worker.jobs").stdout == "2\n"  # what runs
    (row,) = appliance.json("config", "ls", "worker")["settings"]
    assert (row["value"], row["next"]) == (2, 1)
    assert "from the next start: 1" in browser.get("/settings", headers={"Accept": "text/html"}).text

    appliance.stop()
    assert appliance.falaj("config", "get", "worker.jobs").stdout == "1\n"  # nothing runs: what would hold
    appliance.start()
    (row,) = browser.get("/api/v1/settings?section=worker").json()["settings"]
    browser.close()
    assert (row["value"], row["next"], row["source"]) == (1, None, "file")
    assert changes(appliance) == [*first, {"worker.jobs": {"old": 2, "new": 1}}]
    assert appliance.json("audit", "verify")["ok"]

    (appliance.home / "falaj.toml").write_text("")  # by hand
    appliance.stop()
    appliance.start()
    assert changes(appliance)[2:] == [{"worker.jobs": {"old": 1, "new": 2}}]


def test_a_wrong_setting_is_told_and_changes_nothing(new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance()
    appliance.home.mkdir(parents=True)
    told = appliance.refused("config", "set", "inference.wokrers", "2")
    assert "Did you mean 'inference.workers'?" in told["hint"]
    assert "from 0 to 256" in appliance.refused("config", "set", "inference.workers", "-1")["error"]
    assert list(appliance.home.iterdir()) == []
    (appliance.home / "falaj.toml").write_text("[drift]\np = 2\n")
    assert "from 1e-12 to 0.5" in appliance.refused("config", "check")["error"]
    other = appliance.home / "other.toml"
    other.write_text("[drift]\np = 0.01\n")
    assert appliance.json("config", "check", str(other))["settings"] == ["drift.p"]


def test_the_page_reads_stored_files_only_when_asked(
    new_appliance: Callable[..., Appliance],
) -> None:
    appliance = new_appliance().start()
    with contextlib.closing(appliance.set_up()) as browser:
        page = {"Accept": "text/html"}
        quick = browser.get("/checks", headers=page).text
        everything = browser.get("/checks?all=yes", headers=page).text
    assert "stored files, all as they were written" not in quick
    assert "/checks?all=yes" in quick
    assert "stored files, all as they were written" in everything
    assert complaints(appliance) == {}


SET = f"{FALAJ} config set inference.port"
SYSTEMCTL = """\
#!/bin/sh
[ -n "$FAIL" ] && { echo "Failed to connect to bus" >&2; exit 1; }
echo "$*" >> /run/told
"""


def as_installed(tmp_path: Path, script: str, uid: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """A shell script where systemd seems to run, and `systemctl` notes what it is told; /etc is a copy."""
    space = tmp_path / "space"
    space.mkdir(exist_ok=True)
    stand_in = tmp_path / "systemctl"
    stand_in.write_text(SYSTEMCTL)
    stand_in.chmod(0o755)
    inside = f"""set -e
        mount -t tmpfs -o mode=755 none {space}
        mkdir -p {space}/etc {space}/run/systemd/system {space}/lib
        cp -a /etc/passwd /etc/group /etc/ld.so.cache {space}/etc/
        touch {space}/run/told && chmod 666 {space}/run/told
        mount --bind {space}/etc /etc
        mount --bind {space}/run /run
        mount --bind {space}/lib /var/lib
        umask 077
        exec setpriv --reuid {uid} --clear-groups sh -c "$SCRIPT"
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FALAJ_")}
    environment |= {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"SCRIPT": script, "FALAJ_HOME": "/var/lib/falaj", **more}
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_root_changes_the_installed_appliance_and_systemd_starts_it_anew(tmp_path: Path) -> None:
    done = as_installed(
        tmp_path,
        f"{SET} 7701 --json; {FALAJ} config set admin.port 7702 --no-restart --json;"
        "cat /run/told; stat -c '%a %u' /etc/falaj /etc/falaj/falaj.toml",
    )
    first, second, *told = done.stdout.splitlines()
    assert json.loads(first)["restarted"]
    assert not json.loads(second)["restarted"]
    looked = "list-units --state=failed --plain --no-legend falaj-*"
    assert told == ["daemon-reload", "restart falaj.target", looked, "755 0", "644 0"], done.stderr


def test_a_restart_that_fails_is_told(tmp_path: Path) -> None:
    done = as_installed(tmp_path, f"{SET} 7701; cat /etc/falaj/falaj.toml", FAIL="1")
    assert "port = 7701" in done.stdout
    assert (
        "is written, but the appliance was not started anew. The services did not daemon-reload"
        in done.stderr
    )


def test_only_root_changes_the_installed_appliance(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = as_installed(tmp_path, f"{SET} 7701; ls /etc/falaj", uid=65534)
    assert done.stderr.splitlines()[:2] == [
        "falaj: The settings of this server are changed by root.",
        "       Put sudo before the command.",
    ]
    assert done.stdout == ""


@pytest.mark.parametrize(("home", "port"), [("/var/lib/falaj", "7710"), ("/var/lib/other", "7720")])
def test_each_appliance_reads_its_own_file_alone(tmp_path: Path, home: str, port: str) -> None:
    script = """mkdir -p /etc/falaj /var/lib/falaj /var/lib/other
        printf '[inference]\\nport = 7710\\n' > /etc/falaj/falaj.toml
        printf '[inference]\\nport = 7720\\n' | tee /var/lib/falaj/falaj.toml > /var/lib/other/falaj.toml
    """
    done = as_installed(tmp_path, f"{script}\n{FALAJ} config get inference.port", FALAJ_HOME=home)
    assert (done.stdout, done.stderr) == (f"{port}\n", "")
