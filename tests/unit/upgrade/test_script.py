"""What preinst and postinst run, in a real shell, on a program that is in folders of the test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from appliance.upgrade import held
from tests.conftest import ROOT

SCRIPT = ROOT / "packaging" / "deb" / "upgrade.sh"
PROGRAM = """#!/bin/sh
echo "$0 $*" >>"{log}"
echo '{told}'
exit {code}
"""


class Machine:
    """Where the package would be, with a `systemctl` that only writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.lib, self.home, self.log = folder / "lib", folder / "home", folder / "log"
        self.state = self.home / "upgrade"
        self.state.mkdir(parents=True)
        self.log.touch()

    def unpack(self, version: str, code: int = 0, told: str = "") -> None:
        """What dpkg does: files are replaced, not written into."""
        python = self.lib / "venv" / "bin" / "python3"
        python.parent.mkdir(parents=True, exist_ok=True)
        for path, text in (
            (python, PROGRAM.format(log=self.log, told=told, code=code)),
            (self.lib / "venv" / "version", version),
        ):
            path.with_name("dpkg-new").write_text(text)
            path.with_name("dpkg-new").chmod(0o755)
            path.with_name("dpkg-new").rename(path)

    def asked_of(self, program: str) -> list[str]:
        """The steps that a program was asked for."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [words[3] for words in lines if words[0].endswith(f"{program}/bin/python3")]

    def run(self, what: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        script = f"""set -e
. {SCRIPT}
lib={self.lib} data={self.home} state={self.state} booted={self.home}
systemctl() {{ echo "systemctl $*" >>{self.log}; }}
{what}"""
        return subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False)

    def asked(self) -> list[str]:
        return [
            line.removeprefix("systemctl ")
            for line in self.log.read_text().splitlines()
            if line.startswith("systemctl")
        ]

    def program(self, name: str) -> str:
        return (self.lib / name / "version").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.unpack("1")
    return made


def upgraded(machine: Machine, old: str, new: str, code: int = 0, told: str = "") -> None:
    """As dpkg does it."""
    done = machine.run(f"before_unpack {old} {new}")
    assert done.returncode == 0, done.stderr
    machine.unpack(new, code, told)
    done = machine.run(f"after_unpack {old} {new}")
    assert done.returncode == 0, done.stderr


def test_a_good_upgrade_restarts_the_endpoint_once_and_starts_the_rest(machine: Machine) -> None:
    upgraded(machine, "1", "2")
    assert (machine.program("venv"), machine.program("previous")) == ("2", "1")
    assert held.read(machine.home) is None
    answered, stop, reload, active, restart, start = machine.asked()
    assert answered == "--quiet is-active falaj-inference.service"
    assert restart == "restart falaj-inference.service"
    assert (reload, active) == ("daemon-reload", "--quiet is-active falaj.target")
    assert start.removeprefix("start --no-block ") == stop.removeprefix("stop ")
    assert "falaj-admin.service" in start
    assert "inference" not in stop + start
    assert "prepare" not in machine.log.read_text(), "every role would go down with it"


@pytest.mark.parametrize(
    ("code", "told", "why"),
    [
        (1, 'It said "no" and \\ more.', 'It said "no" and \\ more.'),
        (1, "Größe µ 工.", "Größe µ 工."),
        (139, "", "The new program could not be run, or took too long."),
    ],
)
def test_a_bad_one_is_held_and_the_endpoint_starts_no_worker_of_it(
    machine: Machine, code: int, told: str, why: str
) -> None:
    upgraded(machine, "1", "2", code, told)
    found = held.read(machine.home)
    assert found is not None
    assert (found.old, found.new, found.why) == ("1", "2", why)
    assert [line for line in machine.asked() if line.startswith("restart")] == [
        "restart falaj-inference.service"
    ]
    assert any(line.startswith("start") for line in machine.asked())
    assert machine.program("previous") == "1"


def test_after_a_bad_one_what_runs_is_kept_until_a_good_one(machine: Machine) -> None:
    upgraded(machine, "1", "2", 1, "No.")
    upgraded(machine, "2", "3", 1, "Not yet.")
    found = held.read(machine.home)
    assert found is not None
    assert (found.old, found.new) == ("1", "3"), "2 has never run"
    assert machine.program("previous") == "1"
    upgraded(machine, "3", "4")
    assert held.read(machine.home) is None
    assert (machine.program("venv"), machine.program("previous")) == ("4", "1")


def failing(machine: Machine, *commands: str) -> str:
    """A `systemctl` that fails at these."""
    cases = "".join(f'"{one}") return 1 ;; ' for one in commands)
    return f'systemctl() {{ echo "systemctl $*" >>{machine.log}; case "$*" in {cases} esac; }}\n'


RESTART = "restart falaj-inference.service"


def test_one_whose_endpoint_does_not_start_is_taken_back(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    done = machine.run(failing(machine, RESTART) + "after_unpack 1 2")
    assert done.returncode == 0, done.stderr
    assert "2 could not take over: Its endpoint did not start. Version 1 goes on." in done.stderr
    found = held.read(machine.home)
    assert found is not None
    assert (found.old, found.new, found.why) == ("1", "2", "Its endpoint did not start.")
    assert machine.asked_of("venv") == ["upgrade", "migrate", "take-back"]
    assert machine.asked_of("previous") == ["migrations"]
    assert machine.asked()[-1] == "start falaj.target"


def test_a_migration_that_fails_half_way_is_taken_back(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    python = machine.lib / "venv" / "bin" / "python3"
    fails = f"""#!/bin/sh
echo "$0 $*" >>"{machine.log}"
[ "$3" != migrate ] || {{ echo "The disk is full."; exit 1; }}
"""
    python.write_text(fails)
    done = machine.run("after_unpack 1 2")
    assert done.returncode == 0, done.stderr
    assert "2 could not take over: The disk is full. Version 1 goes on." in done.stderr
    assert machine.asked_of("venv") == ["upgrade", "migrate", "take-back"]
    assert held.read(machine.home) is not None


def test_a_way_back_that_fails_is_told(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    python = machine.lib / "venv" / "bin" / "python3"
    python.write_text('#!/bin/sh\n[ "$3" != take-back ] || { echo "No snapshot."; exit 1; }\n')
    done = machine.run(failing(machine, RESTART) + "after_unpack 1 2")
    assert done.returncode == 0
    assert "takes over" not in done.stdout + done.stderr
    assert "Its endpoint did not start. Going back has failed too: No snapshot." in done.stderr
    assert held.read(machine.home) is None, "the version before could not read the data"


def test_one_that_was_being_taken_back_is_tried_and_judged_again(machine: Machine) -> None:
    """After a power cut in it: by then the endpoint has not answered."""
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    machine.run('hold 1 2 "$mute"')
    was_not_active = failing(machine, RESTART, "--quiet is-active falaj-inference.service")
    done = machine.run(f"{was_not_active}after_unpack 1 2")
    assert "2 could not take over: Its endpoint did not start." in done.stderr
    assert held.read(machine.home) is not None


def test_an_endpoint_that_did_not_answer_before_is_no_reason_to_go_back(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    fails = failing(machine, RESTART, "--quiet is-active falaj-inference.service")
    done = machine.run(f"{fails}after_unpack 1 2")
    assert "takes over" in done.stdout
    assert held.read(machine.home) is None
    assert machine.asked_of("venv") == ["upgrade", "migrate"]


def test_one_that_hangs_is_held(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    machine.unpack("2")
    python = machine.lib / "venv" / "bin" / "python3"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    done = machine.run("longest=1\nafter_unpack 1 2")
    assert done.returncode == 0, done.stderr
    found = held.read(machine.home)
    assert found is not None
    assert found.why == "The new program could not be run, or took too long."


def test_until_all_is_set_up_the_version_before_is_what_starts(machine: Machine) -> None:
    """After a power cut between the two steps, which dpkg may repeat."""
    for _ in range(2):
        assert machine.run("before_unpack 1 2").returncode == 0
        found = held.read(machine.home)
        assert found is not None
        assert (found.old, found.new, found.why) == ("1", "2", "It has not been set up yet.")
        assert machine.program("previous") == "1"
        machine.unpack("2")


def test_files_that_could_not_be_unpacked_leave_all_as_it_was(machine: Machine) -> None:
    machine.run("before_unpack 1 2")
    assert machine.run("not_unpacked").returncode == 0
    assert held.read(machine.home) is None
    assert any(line.startswith("start") for line in machine.asked())
    upgraded(machine, "1", "2", 1, "No.")
    machine.run("before_unpack 2 3")
    assert machine.run("not_unpacked").returncode == 0
    found = held.read(machine.home)
    assert found is not None
    assert found.why == "No.", "it is held as before"


def test_without_systemd_nothing_is_stopped(machine: Machine) -> None:
    for what in ("before_unpack 1 2", "after_unpack 1 2"):
        assert machine.run(f"booted=/nowhere\n{what}").returncode == 0
        assert machine.asked() == []


def test_a_program_that_cannot_be_kept_stops_the_upgrade_before_it_begins(machine: Machine) -> None:
    done = machine.run("cp() { return 1; }\nbefore_unpack 1 2")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert machine.asked() == []
    assert sorted(one.name for one in machine.lib.iterdir()) == ["venv"]


def test_a_state_folder_that_takes_no_words_still_holds(machine: Machine) -> None:
    """On a full disk: the note is there, and empty."""
    machine.run("before_unpack 1 2")
    machine.unpack("2", 1, "The disk is full.")
    done = machine.run("printf() { return 1; }\nafter_unpack 1 2")
    assert done.returncode == 0, done.stderr
    found = held.read(machine.home)
    assert found is not None
    assert found.why == "The note that says why cannot be read."
    assert json.loads(json.dumps(found.as_json()))
