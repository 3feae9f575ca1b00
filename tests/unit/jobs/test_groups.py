"""Control groups on the kernel's own tree; which bounds can be in force is the machine's affair."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.jobs import ledger, progress
from appliance.jobs.groups import was_too_big
from appliance.jobs.ledger import JobState
from appliance.process import lives, process_name
from tests.conftest import ROOT
from tests.unit.jobs.conftest import Jobs, wait_until

pytestmark = pytest.mark.processes

# a worker in the folder that it is given; it says what it found, and runs one job
WORKER = """
import os, sys
from pathlib import Path
folder, home, job = map(Path, sys.argv[1:])
(folder / "cgroup.procs").write_text("0")
from appliance.jobs.groups import open_groups
from appliance.jobs.runner import Runner
from tests.unit.jobs import bodies
groups = open_groups()
print(groups and groups.folder, flush=True)
store, module = bodies.open_store(home), "tests.unit.jobs.bodies"
Runner(store, home, home / "run", module, 30.0, 1.0, 1 << 30, lambda: False, groups).run(str(job))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A part of the tree, not yet delegated."""
    mounts = Path("/proc/self/mountinfo").read_text()
    mount = re.search(r"^(?:\S+ ){3}/ (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    assert mount is not None, "this machine has no cgroup v2"
    made = Path(mount[1]) / f"falaj-test-{os.getpid()}"
    made.mkdir()
    yield made
    (made / "cgroup.kill").write_text("1")
    wait_until(lambda: "populated 0" in (made / "cgroup.events").read_text())
    for inner in made.glob("*/"):
        inner.rmdir()
    made.rmdir()


@contextlib.contextmanager
def worker(folder: Path, jobs: Jobs, id: str) -> Iterator[str]:
    """A worker with a job that has begun; the part of the tree that it took into use."""
    command = [sys.executable, "-c", WORKER, str(folder), str(jobs.home), id]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline().strip()
            wait_until(lambda: progress.read(jobs.run_dir, id)["phase"])
            yield said
        finally:
            ledger.request_cancel(jobs.store, id, "cli:someone")
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


def inside(group: Path) -> list[psutil.Process]:
    return [psutil.Process(int(pid)) for pid in (group / "cgroup.procs").read_text().split()]


@pytest.mark.parametrize("delegated", [True, False])
def test_a_job_and_all_that_it_starts_are_one_group(folder: Path, jobs: Jobs, delegated: bool) -> None:
    """Also what has left its session, and without a group survives it; undelegated, nothing is touched."""
    if delegated:
        os.setxattr(folder, "user.delegate", b"1")
    id = jobs.add("grandchild")
    group = folder / f"job-{id}"
    with worker(folder, jobs, id) as said:
        assert said == (str(folder) if delegated else "None")
        sleeping = [one for one in inside(group if delegated else folder) if one.name() == "sleep"]
        (name,) = [process_name(one.pid) for one in sleeping]
        if delegated:
            assert len(inside(group)) == 2
            assert len(inside(folder / "falaj")) == 1
            assert inside(folder) == []
            assert bounds_in(group) == wanted(folder)
        else:
            assert list(folder.glob("*/")) == []
    assert jobs.get(id).state is JobState.CANCELLED
    assert lives(name) is not delegated
    assert not group.exists()


def bounds_in(group: Path) -> dict[str, str]:
    names = ("memory.max", "memory.oom.group", "cpu.idle", "pids.max")
    return {name: (group / name).read_text().strip() for name in names if (group / name).exists()}


def wanted(folder: Path) -> dict[str, str]:
    """What must be in force here: every bound whose controller the machine has on this tree."""
    there = (folder / "cgroup.controllers").read_text().split()
    bounds = {
        "memory.max": str(1 << 30),
        "memory.oom.group": "1",
        "cpu.idle": "1",
        "pids.max": "1024",
    }
    return {name: value for name, value in bounds.items() if name.partition(".")[0] in there}


def test_what_a_killed_worker_left_is_removed_at_the_next_start(folder: Path, jobs: Jobs) -> None:
    os.setxattr(folder, "user.delegate", b"1")
    left = folder / "job-left"
    left.mkdir()
    with subprocess.Popen(["sleep", "60"]) as old:
        (left / "cgroup.procs").write_text(str(old.pid))
        id = jobs.add("sleep")
        with worker(folder, jobs, id):
            assert not left.exists()
        assert old.wait(10) < 0


def test_the_kernel_says_what_it_killed_for(tmp_path: Path) -> None:
    """The file as the kernel writes it (cgroup-v2.rst); a tree without the memory controller has none."""
    assert not was_too_big(None)
    assert not was_too_big(tmp_path)
    events = "low 0\nhigh 0\nmax 7\noom 1\noom_kill {}\noom_group_kill 0\n"
    for count in (0, 1):
        (tmp_path / "memory.events").write_text(events.format(count))
        assert was_too_big(tmp_path) is bool(count)
