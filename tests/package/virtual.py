"""A whole Debian in a virtual machine (qemu, TCG): what a container can't show, an order of magnitude slower.

Its kernel is Debian's own, with control groups of version 2 and all controllers, and its memory really is
lost when the power is cut. Commands go in through a serial port, to `AGENT`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.package.machine import PATH, Done

KERNEL = "linux-image-cloud-amd64,initramfs-tools,lz4"
# before the kernel is installed: an initramfs with what this machine has, and no more
INITRAMFS = """
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\\nCOMPRESS=lz4\\n' >"$1/etc/initramfs-tools/conf.d/falaj"
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >"$1/etc/initramfs-tools/modules"
"""
AGENT = f"""
import base64, json, subprocess
with open("/dev/ttyS1", "r+b", buffering=0) as line:
    line.write(b"here\\n")
    for told in line:
        if not told.strip():
            continue
        done = subprocess.run(json.loads(base64.b64decode(told)), capture_output=True, env={{
            "PATH": "{PATH}", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}})
        words = [done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")]
        line.write(b"= " + base64.b64encode(json.dumps(words).encode()) + b"\\n")
"""
UNIT = """[Unit]
Description=Runs what the test asks for
[Service]
ExecStartPre=/bin/stty -F /dev/ttyS1 raw -echo
ExecStart=/usr/bin/python3 /usr/local/lib/agent.py
[Install]
WantedBy=multi-user.target
"""


def image(root: Path, disk: Path) -> None:
    """Make a disk of a root folder, which is given what runs commands in it."""
    (root / "usr/local/lib/agent.py").write_text(AGENT)
    (root / "etc/systemd/system/agent.service").write_text(UNIT)
    subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", "agent"], check=True)
    (root / "etc/machine-id").write_text("")
    options = ["-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1"]
    subprocess.run(["mke2fs", *options, "-d", root, disk, "6G"], check=True, timeout=300)


class Guest:
    """A running virtual machine with 2 GiB of memory and two cores."""

    def __init__(self, root: Path, disk: Path) -> None:
        """`root`: where its kernel is read from."""
        self.console = disk.with_suffix(".console")
        port = disk.with_suffix(".port")
        kernel = {name: str(next((root / "boot").glob(f"{name}-*"))) for name in ("vmlinuz", "initrd.img")}
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512"),
                *("-cpu", "max", "-smp", "2", "-m", "2048", "-display", "none", "-nic", "none", "-no-reboot"),
                *("-serial", f"file:{self.console}", "-serial", f"unix:{port},server=on,wait=off"),
                *("-monitor", "none", "-kernel", kernel["vmlinuz"], "-initrd", kernel["initrd.img"]),
                *("-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1"),
                *("-drive", f"file={disk},if=none,id=disk,format=raw,cache=writeback"),
                *("-device", "virtio-blk-pci,drive=disk"),
            ]
        )
        self._line = socket.socket(socket.AF_UNIX)
        self._heard = b""
        deadline = time.monotonic() + 30
        while True:
            try:
                self._line.connect(str(port))
                break
            except OSError:
                assert self.process.poll() is None, "qemu did not start"
                assert time.monotonic() < deadline
                time.sleep(0.1)
        self._hear(b"here", 300)

    def inside(self, *command: str, check: bool = True, timeout: float = 600) -> Done:
        """Run a command in it, as root."""
        self._line.sendall(base64.b64encode(json.dumps(command).encode()) + b"\n")
        code, out, err = json.loads(base64.b64decode(self._hear(b"= ", timeout)))
        assert not check or code == 0, f"{command}: {code}\n{out}{err}"
        return Done(code, out, err)

    def falaj(self, *words: str, timeout: float = 600) -> Any:
        return json.loads(self.inside("falaj", *words, "--json", timeout=timeout).out)

    def until_ready(self, seconds: float = 300) -> None:
        """Until all of the appliance runs."""
        deadline = time.monotonic() + seconds
        while '"ready": true' not in self.inside("falaj", "status", "--json", check=False).out:
            assert time.monotonic() < deadline, self.inside("journalctl", "-b", "-n", "60", "--no-pager").out
            time.sleep(1)

    def cut(self) -> None:
        """Cut its power: what its kernel has not written is lost."""
        self.process.kill()
        self.process.wait()
        self._line.close()

    def _hear(self, begin: bytes, seconds: float) -> bytes:
        """The rest of the next line that begins so."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" in self._heard:
                line, self._heard = self._heard.split(b"\n", 1)
                if line.startswith(begin):
                    return line.removeprefix(begin).strip()
            self._line.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                part = self._line.recv(65536)
            except TimeoutError:
                part = b""
            assert part, f"no answer: {self.console.read_text(errors='replace')[-2000:]}"
            self._heard += part


@contextlib.contextmanager
def running(root: Path, disk: Path) -> Iterator[Guest]:
    """A guest from its start to its end."""
    assert shutil.which("qemu-system-x86_64"), "install qemu-system-x86"
    guest = Guest(root, disk)
    try:
        yield guest
    finally:
        guest.cut()
