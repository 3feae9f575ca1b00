"""The package in a virtual machine: bounds that the kernel keeps, and power cuts that lose memory. Slow."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package.chroot import Chroot
from tests.package.test_machine import until
from tests.package.virtual import INITRAMFS, KERNEL, Guest, image, running
from tests.system.test_fresh_debian import SOURCES

pytestmark = pytest.mark.slow

GROUPS = "/sys/fs/cgroup"
UNITS = {
    "falaj-inference.service": f"{GROUPS}/falaj.slice/falaj-inference.slice/falaj-inference.service",
    "falaj-worker.service": f"{GROUPS}/falaj.slice/falaj-training.slice/falaj-worker.service",
}
ROW = {"tenure": 2, "monthly": 99}


@pytest.fixture(scope="module")
def root(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with its own kernel, the package installed, not started yet, and a table."""
    assert shutil.which("mmdebstrap"), "mmdebstrap is needed: ./install.sh test --slow installs it"
    root = tmp_path_factory.mktemp("virtual") / "root"
    sources = next(path for path in SOURCES if path.exists())
    needed = f"systemd,systemd-sysv,dbus,python3,libgomp1,ca-certificates,curl,procps,{KERNEL}"
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={needed}"),
            *(f"--essential-hook={INITRAMFS}", "bookworm", root, sources),
        ],
        check=True,
        timeout=900,
    )
    shutil.copy(package, root / "root/falaj.deb")
    Chroot(root).run("dpkg", "-i", "/root/falaj.deb")
    (root / "root/falaj.deb").unlink()
    lines = [f"{n % 71 + 1},{20 + n % 97},{'yes' if n % 97 > n % 71 else 'no'}" for n in range(600)]
    (root / "root/customers.csv").write_text("tenure,monthly,left\n" + "\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def guest(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """One machine for the tests of bounds, with a model that answers."""
    disk = tmp_path_factory.mktemp("disk") / "disk.raw"
    image(root, disk)
    with running(root, disk) as made:
        with_a_model(made)
        yield made


def with_a_model(guest: Guest) -> None:
    guest.until_ready()
    guest.falaj("dataset", "add", "customers", "/root/customers.csv")
    guest.falaj("train", "churn", "--dataset", "customers", "--target", "left", "--algorithm", "linear")
    guest.falaj("deploy", "churn")


def predicts(guest: Guest) -> bool:
    return '"label"' in guest.inside("falaj", "predict", "churn", "--row", json.dumps(ROW), "--json").out


def kept(guest: Guest, unit: str, name: str) -> str:
    """A bound of a unit, as its control group has it."""
    return guest.inside("cat", f"{UNITS[unit]}/{name}").out.strip()


def test_the_endpoint_is_protected(guest: Guest) -> None:
    for folder in (
        f"{GROUPS}/falaj.slice",
        f"{GROUPS}/falaj.slice/falaj-inference.slice",
        UNITS["falaj-inference.service"],
    ):
        assert guest.inside("cat", f"{folder}/memory.min").out.strip() == str(512 << 20)
    assert kept(guest, "falaj-inference.service", "cpu.weight") == "800"
    assert kept(guest, "falaj-worker.service", "cpu.weight") == "20"
    pid = guest.inside("systemctl", "show", "--value", "-p", "MainPID", "falaj-inference").out.strip()
    assert guest.inside("cat", f"/proc/{pid}/oom_score_adj").out.strip() == "-500"
    assert predicts(guest)


def test_a_job_is_a_group_of_its_own_and_bounded(guest: Guest) -> None:
    words = ["train", "again", "--dataset", "customers", "--target", "left", "--budget", "30s", "--detach"]
    job = guest.falaj(*words)["job"]
    folder = f"{UNITS['falaj-worker.service']}/job-{job}"
    until(lambda: guest.inside("cat", f"{folder}/cgroup.procs", check=False).out.split(), 120)
    bounds = guest.inside(
        "sh", "-c", f"cd {folder} && grep . memory.max memory.oom.group cpu.idle pids.max"
    ).out
    told = dict(line.split(":") for line in bounds.split())
    print(f"a job's group: {told}")
    assert int(told["memory.max"]) < 2048 << 20
    assert (told["memory.oom.group"], told["cpu.idle"], told["pids.max"]) == ("1", "1", "1024")
    until(lambda: guest.falaj("job", "show", job)["state"] == "succeeded", 600)
    assert guest.inside("ls", folder, check=False).code != 0, "its group goes with it"


def test_a_job_over_its_memory_is_ended_by_the_kernel_and_nothing_else_is(guest: Guest) -> None:
    """Its own check of memory is no match: the bound is set below what its program takes to begin."""
    guest.inside("falaj", "config", "set", "jobs.memory_mb", "120")
    guest.until_ready()
    before = oom_kills(guest)
    done = guest.inside(
        *("falaj", "train", "big", "--dataset", "customers", "--target", "left", "--budget", "20s"),
        check=False,
    )
    print(f"{done.err.strip()}\nended by the kernel: {oom_kills(guest) - before}")
    assert done.code == 1
    assert "MiB" in done.err
    assert predicts(guest)
    guest.inside("falaj", "config", "unset", "jobs.memory_mb")
    guest.until_ready()


def oom_kills(guest: Guest) -> int:
    """How many processes the kernel has ended for want of memory below the worker."""
    told = dict(line.split() for line in kept(guest, "falaj-worker.service", "memory.events").splitlines())
    return int(told["oom_kill"])


def test_what_was_said_survives_a_power_cut(root: Path, tmp_path: Path) -> None:
    """Everything that an answer has acknowledged is there; a job that ran goes on."""
    disk = tmp_path / "disk.raw"
    image(root, disk)
    with running(root, disk) as guest:
        with_a_model(guest)
        words = [
            "train",
            "again",
            "--dataset",
            "customers",
            "--target",
            "left",
            "--budget",
            "60s",
            "--detach",
        ]
        job = guest.falaj(*words)["job"]
        until(lambda: guest.falaj("job", "show", job)["state"] == "running", 120)
        token = guest.falaj("token", "create", "--name", "said last", "--models", "churn")
    with running(root, disk) as guest:
        guest.until_ready()
        assert token["id"] in [one["id"] for one in guest.falaj("token", "ls")]
        assert predicts(guest)
        until(lambda: guest.falaj("job", "show", job)["state"] == "succeeded", 900)
        assert guest.falaj("audit", "verify")["ok"]
