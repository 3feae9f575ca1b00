"""Telling the service manager how this role is (sd_notify(3)); without one, nothing is told.

A role hands over a proof: a call that really asks it something and says why it does not answer, or "". The
first proof that holds is told as READY=1; then each ping of the watchdog comes after a proof made just then.
A proof that hangs withholds the ping, which is all it has to do.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

Proof = Callable[[], str]

_STARTING = 0.2  # seconds between two proofs until the first that holds
_AGAIN = 1.0  # most seconds from a proof that failed to the next
_SENDING = 5.0


class Manager:
    """The service manager behind a socket, or nobody; `interval` is in seconds, 0 without a watchdog."""

    def __init__(self, address: str = "", interval: float = 0.0) -> None:
        self.interval = interval
        self._stopping, self._over = threading.Event(), threading.Event()
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_SENDING)
            self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def from_environment(cls) -> Manager:
        """Who systemd says it is. Taken out of the environment: no child may speak in our name."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        meant = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watched = meant and microseconds.isdecimal()
        return cls(address, int(microseconds) / 3e6 if watched else 0.0)

    def tell(self, *lines: str) -> None:
        """Send lines like READY=1; never fails."""
        if self._socket is None or self._over.is_set():
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("the service manager could not be told %s: %s", lines[0], error)

    def watch(self, proof: Proof, status: str) -> None:
        """Prove and tell from a thread of its own; `status` is what is told while all is well."""
        if self._socket is not None:
            threading.Thread(
                target=self._watch, args=(proof, status), name="falaj-watchdog", daemon=True
            ).start()

    def stopping(self) -> None:
        """The role has been told to stop. How long that may take is for the manager's own time limit."""
        self._stopping.set()
        self.tell("STOPPING=1", "STATUS=stopping")

    def close(self) -> None:
        """Tell nothing more."""
        self._stopping.set()
        self._over.set()
        if self._socket is not None:
            self._socket.close()

    def _watch(self, proof: Proof, status: str) -> None:
        ready, said = False, ""
        while not self._stopping.is_set():
            why, lines = _tried(proof), []
            if not why:
                lines = ["WATCHDOG=1"] if ready else ["READY=1"]
                ready = True
            elif ready and why != said:
                log.warning("no sign of life is given: %s", why)
            if (told := why or status) != said:
                lines.append(f"STATUS={told}")
                said = told
            if lines:
                self.tell(*lines)
            if ready and not self.interval:
                return
            pause = min(self.interval, _AGAIN) if why else self.interval
            self._stopping.wait(pause if ready else _STARTING)
        while self.interval and not self._over.wait(self.interval):
            self.tell("WATCHDOG=1")


def _tried(proof: Proof) -> str:
    try:
        return proof()
    except Exception:
        log.exception("the proof of life failed")
        return "the proof of life failed; the log says why"
