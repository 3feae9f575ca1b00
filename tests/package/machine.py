"""A whole Debian with a systemd of its own (systemd-nspawn), for a test: boot, command, cut the power.

Nothing of the host's systemd is needed: the machine gets control groups of its own below those that this
process is in, and a network namespace that is joined to an office (another namespace) by a cable.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ADDRESS, OFFICE = "10.78.0.1", "10.78.0.2"
_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids", "blkio", "devices")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass
class Machine:
    """A root folder that is booted. `inside` runs a command in it, `office` one at the cable's other end."""

    root: Path
    name: str = field(default_factory=lambda: f"falaj{os.getpid()}")
    process: subprocess.Popen[bytes] | None = None
    leader: int = 0
    groups: list[Path] = field(default_factory=list)

    @property
    def console(self) -> Path:
        return self.root.with_name(f"{self.root.name}.console")

    def boot(self, seconds: float = 120) -> None:
        """Start it, and wait until its systemd says that it runs."""
        self.groups = _groups(self.name)
        with self.console.open("ab") as console:
            self.process = subprocess.Popen(
                [
                    *("systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={self.name}"),
                    *("--boot", "--register=no", "--keep-unit", "--private-network", "--console=read-only"),
                    "--system-call-filter=bpf",
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=lambda: _enter(self.groups),
            )
        self.leader = self._wait_for_leader(time.monotonic() + seconds)
        self._wait(["systemctl", "is-system-running"], ("running", "degraded"), seconds)
        for name in _CONTROLLERS:  # the host mounts them read-only; what systemd sets would have no effect
            self.inside("mount", "-o", "remount,rw,bind", f"/sys/fs/cgroup/{name}", check=False)
        self.inside("systemctl", "daemon-reexec")
        self._cable()

    def inside(self, *command: str, check: bool = True, timeout: float = 300, text: str = "") -> Done:
        """Run a command in the machine, as root."""
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        return _run([*enter, *clean, *command], check, timeout, text)

    def office(self, *command: str, check: bool = True, timeout: float = 60) -> Done:
        """Run a command of the host, on the network of the office."""
        return _run(["ip", "netns", "exec", self.name, *command], check, timeout)

    def is_ready(self) -> bool:
        """Whether the appliance on it says that all of it runs."""
        said = self.inside("falaj", "status", "--json", check=False)
        return said.code == 0 and bool(json.loads(said.out)["ready"])

    def until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.2)

    def told(self) -> str:
        """What the appliance and its units say, to understand why something failed."""
        status = self.inside("falaj", "status", check=False)
        journal = self.inside("journalctl", "-b", "--no-pager", "-n", "40", "-u", "falaj-*", check=False)
        return f"{status.out}{status.err}{journal.out}"

    def shut_down(self, seconds: float = 90) -> None:
        """Stop it in good order."""
        self.inside("systemctl", "poweroff", check=False)
        self.gone(seconds)

    def cut(self) -> None:
        """A power cut for its processes (what the kernel has not written yet is not lost)."""
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        self.gone(30)

    def gone(self, seconds: float) -> None:
        """Wait until it has ended; after so many seconds its power is cut."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        if self.process.poll() is None:
            os.kill(self.leader, signal.SIGKILL)
            self.process.wait(30)
        self.process, self.leader = None, 0
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        for group in self.groups:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _wait_for_leader(self, deadline: float) -> int:
        assert self.process is not None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.console.read_text(errors="replace")[-2000:]
            for child in _children(self.process.pid):
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{child}/status").read_text()
                    if status.startswith("Name:\tsystemd\n") and "\t1\n" in status.partition("NSpid:")[2]:
                        return child
            time.sleep(0.05)
        raise AssertionError("no systemd came up")

    def _wait(self, command: list[str], wanted: tuple[str, ...], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (said := self.inside(*command, check=False).out.strip()) not in wanted:
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def _cable(self) -> None:
        run = lambda *words: _run(["ip", *words], True, 30)  # noqa: E731
        run("netns", "add", self.name)
        run("link", "add", "eth0", "netns", self.name, "type", "veth", "peer", "name", f"v{os.getpid()}")
        run("link", "set", f"v{os.getpid()}", "netns", str(self.leader))
        run("-n", self.name, "addr", "add", f"{OFFICE}/24", "dev", "eth0")
        run("-n", self.name, "link", "set", "eth0", "up")
        for words in (
            ("link", "set", f"v{os.getpid()}", "name", "eth0"),
            ("addr", "add", f"{ADDRESS}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            self.inside("ip", *words)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def _run(command: list[str], check: bool, timeout: float, text: str = "") -> Done:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=timeout, check=False, errors="replace"
    )
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


def _groups(name: str) -> list[Path]:
    """Control groups for the machine, below those of this process, in every hierarchy (v1 and v2)."""
    made = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        folder = controllers.removeprefix("name=") if controllers else "unified"
        base = _CGROUPS / folder if (_CGROUPS / folder).is_dir() else _CGROUPS
        parent = base / path.lstrip("/")
        group = parent / name
        group.mkdir(exist_ok=True)
        if "cpuset" in controllers:
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((parent / setting).read_text())
            (group / "cgroup.clone_children").write_text("1")
        if controllers == "memory":
            with contextlib.suppress(OSError):
                (group / "memory.use_hierarchy").write_text("1")
        made.append(group)
    return made


def _enter(groups: list[Path]) -> None:
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@contextlib.contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """A machine from its boot to its end."""
    assert shutil.which("systemd-nspawn"), "install systemd-container"
    machine = Machine(root)
    try:
        machine.boot()
        yield machine
    finally:
        if machine.process is not None:
            machine.cut()
