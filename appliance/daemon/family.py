"""Keeping child processes alive: start, start again after a crash, and stop in good order.

Every child dies with its parent (PR_SET_PDEATHSIG), so no orphan ever answers. A child that ends is
started again after a pause that grows while it keeps failing; it never gives up. Only one that was asked
to leave is not.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_LOOK = 0.05
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 15.0
_STEADY = 20.0


@dataclass
class Child:
    """One process that should be running: `python -m appliance.daemon ROLE ...` with inherited sockets."""

    name: str
    arguments: list[str]
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0
    leave_by: float | None = None  # on its way out, and killed then

    def put_off(self, now: float) -> None:
        """Start it after a pause; the next one is longer."""
        self.due = now + self.pause
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)

    @classmethod
    def on_sockets(cls, name: str, role: str, made: Sequence[socket.socket]) -> Child:
        """A role that answers on sockets of this process."""
        fds = tuple(sock.fileno() for sock in made)
        return cls(name, [role, *(word for fd in fds for word in ("--fd", str(fd)))], fds)


@dataclass
class Family:
    """The children of one process."""

    home: Path
    children: list[Child] = field(default_factory=list)
    stopping: bool = False

    def run(
        self,
        stop_after: float,
        look: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep all children running until SIGTERM, SIGINT or SIGHUP; they then get `stop_after` seconds.

        `look` is called on every round, `on_stop` when the signal has come.
        """
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # the terminal was closed, and no nohup
            signal.signal(signal.SIGHUP, self._on_signal)
        while not self.stopping:
            for child in list(self.children):
                self._tend(child)
            look()
            time.sleep(_LOOK)
        on_stop()
        self._stop(stop_after)

    def leave(self, child: Child, seconds: float) -> None:
        """Ask a child to finish what it has begun and end (SIGUSR1); it gets so many seconds."""
        child.leave_by = time.monotonic() + seconds
        if child.process is None:
            self.children.remove(child)
        else:
            child.process.send_signal(signal.SIGUSR1)

    def _on_signal(self, signum: int, frame: object) -> None:
        self.stopping = True

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            if child.process.poll() is None:
                if child.leave_by is not None and now > child.leave_by:
                    log.warning("%s did not leave in time and is killed", child.name)
                    child.process.kill()
                if now - child.started > _STEADY:
                    child.pause = _FIRST_PAUSE
                return
            if child.leave_by is not None:
                self.children.remove(child)
                return
            log.warning("%s ended with %s; starting it again", child.name, child.process.returncode)
            child.process = None
            child.put_off(now)
        if now >= child.due and not self.stopping:
            try:
                child.process, child.started = self._start(child), now
            except OSError as error:  # no memory, no process, no descriptor: the others must not end for it
                log.warning("%s could not be started: %s", child.name, error)
                child.put_off(now)

    def _start(self, child: Child) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "appliance.daemon", *child.arguments, "--home", str(self.home)],
            pass_fds=child.fds,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for this process alone: it then stops the others in good order
            env=os.environ | {"FALAJ_PARENT": str(os.getpid())},
        )

    def _stop(self, stop_after: float) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + stop_after
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process %d did not stop in time and is killed", process.pid)
                process.kill()
                process.wait()
