"""One role as systemd starts it: a notify socket, a watchdog, listening sockets that are handed over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import ROOT

# what systemd does between fork and exec: descriptors from 3 on, and the id of the process that gets them
_START = 'to=3; for fd in $HANDED; do eval "exec $to<&$fd"; to=$((to+1)); done; LISTEN_PID=$$ exec "$@"'


@dataclass
class Service:
    """A running role of the appliance in `home`."""

    role: str
    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    watchdog: float = 1.5
    sockets: list[tuple[str, socket.socket]] = field(default_factory=list)  # by name
    prefix: tuple[str, ...] = ()
    told: list[str] = field(default_factory=list)  # every line it has told its manager

    def __post_init__(self) -> None:
        self.folder = self.home.parent
        path = self.folder / f"{self.role}.notify"
        path.unlink(missing_ok=True)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(path))
        environment = os.environ | self.settings
        environment |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(round(self.watchdog * 1e6))}
        handed = []
        if self.sockets:
            handed = [100 + number for number in range(len(self.sockets))]
            for number, (_, sock) in zip(handed, self.sockets, strict=True):
                os.dup2(sock.fileno(), number)
            environment |= {"LISTEN_FDS": str(len(handed)), "HANDED": " ".join(map(str, handed))}
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in self.sockets)
        command = [sys.executable, "-m", "appliance.daemon", self.role, "--home", str(self.home)]
        with open(self.folder / f"{self.role}.log", "a") as log:
            self.process = subprocess.Popen(
                [*self.prefix, "bash", "-c", _START, "bash", *command],
                env=environment,
                pass_fds=handed,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        for number in handed:
            os.close(number)

    @property
    def log(self) -> str:
        return (self.folder / f"{self.role}.log").read_text()

    def hear(self, line: str, times: int = 1, seconds: float = 60.0) -> None:
        """Wait until it has told a line that begins so, so many times from now on."""
        deadline = time.monotonic() + seconds
        while times:
            self.manager.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                lines = self.manager.recv(4096).decode().splitlines()
            except TimeoutError:
                raise AssertionError(f"{line} was never told, only {self.told}:\n{self.log}") from None
            self.told += lines
            times -= sum(told.startswith(line) for told in lines)
            times = max(0, times)

    def forget(self) -> None:
        """Drop what it has told until now."""
        self.manager.setblocking(False)
        while True:
            try:
                self.told += self.manager.recv(4096).decode().splitlines()
            except BlockingIOError:
                return

    def workers(self) -> list[psutil.Process]:
        """Its living inference workers."""
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE
        ]

    def stop(self) -> int:
        """Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.manager.close()
