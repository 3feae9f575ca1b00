"""A Debian of its own for the package: a root folder whose commands see no network and no other process."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

# New mounts, network (only lo), processes: all of it is gone when the command has ended.
INSIDE = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/run" || exit 99
ip link set lo up && exec chroot "$0" "$@"
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
# Where Debian's own tools keep what they know; the package's traces are looked for everywhere else.
OF_DEBIAN = ("proc", "dev", "run", "sys", "tmp", "var/lib/dpkg", "var/lib/apt", "var/cache", "var/log")


@dataclass(frozen=True)
class Chroot:
    root: Path

    def tried(self, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command in there; its outcome, whatever it is."""
        outer = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE]
        return subprocess.run(
            [*outer, str(self.root), *command],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, *command: str, timeout: float = 300) -> str:
        """What a command in there printed; it must succeed."""
        done = self.tried(*command, timeout=timeout)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def copy(self, target: Path) -> Chroot:
        subprocess.run(["cp", "-a", "--reflink=auto", self.root, target], check=True)
        return Chroot(target)

    def files(self) -> dict[str, str]:
        """Every path outside Debian's own records, with its owner, mode and content."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            below = Path(folder).relative_to(self.root)
            folders[:] = [one for one in folders if str(below / one) not in OF_DEBIAN]
            for name in [*folders, *names]:
                path = Path(folder) / name
                found[str(below / name)] = _told(path, path.lstat())
        return found


def _told(path: Path, status: os.stat_result) -> str:
    content = ""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {content}"
