"""The egress role: answers other roles on a Unix socket, and calls out for them where a rule allows it.

Who may ask is a matter of the folder's permissions. An ask is one JSON object, framed by its length:

    {"ask": "request", "method", "url", "headers", "body" (base64), "deadline"}: see `outward`
    {"ask": "counts", "acknowledged": BATCH}: see `counts`
    {"ask": "machine"}: the names and addresses of this machine, for roles that have no network
    {"ask": "ready"}: the process id

Only the host, the port and the verdict of a call are ever logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from appliance.egress import folder, outward, rules
from appliance.egress.counts import DONE, FAILED, REFUSED, Counts
from appliance.egress.outward import LARGE, Asked, Traffic, Until
from appliance.errors import BadInput, FalajError, Forbidden, Overloaded, TooLarge
from appliance.framing import LENGTH, exactly, send

log = logging.getLogger(__name__)

MOST_CALLS = 64
_MOST_THREADS = 256
_MOST_LARGE = 4
_LONGEST_ASK = 24 << 20  # a body of 16 MiB in base64, and the rest
_TIMEOUT = 10.0


class Machine(Protocol):
    """What this machine is called."""

    @property
    def dns(self) -> tuple[str, ...]: ...
    @property
    def addresses(self) -> tuple[str, ...]: ...


class Broker(socketserver.ThreadingUnixStreamServer):
    """A thread an ask, and so many calls out at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        place: Path,
        machine: Callable[[], Machine],
        listening: socket.socket | None = None,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.place, self.machine, self.trust = place, machine, trust
        self.counts = Counts()
        self.calls = threading.BoundedSemaphore(MOST_CALLS)
        self.large = threading.BoundedSemaphore(_MOST_LARGE)
        self._places = threading.BoundedSemaphore(_MOST_THREADS)
        path = folder.socket_path(place)
        super().__init__(str(path), _Door, bind_and_activate=False)
        if listening is not None:
            self.socket.close()
            self.socket = listening
            return
        path.unlink(missing_ok=True)
        self.server_bind()
        path.chmod(0o600)
        self.server_activate()

    def allows(self, host: str, port: int) -> bool:
        """Whether a rule that is in force now lets somebody call this."""
        return rules.allowed(folder.read_allowed(self.place) or [], host, port)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


class _Door(socketserver.BaseRequestHandler):
    server: Broker
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(_TIMEOUT)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):  # the caller went away
            try:
                reply = self._answer(held)
            except FalajError as error:
                reply = {"error": error.as_json(), "kind": type(error).__name__}
            except OSError:
                raise
            except Exception:
                reference = secrets.token_hex(4)
                log.exception("an ask failed unexpectedly, reference %s", reference)
                unexpected = FalajError(
                    "Something failed unexpectedly.", f"The log has it under {reference}."
                )
                reply = {"error": unexpected.as_json(), "kind": "FalajError"}
            self.request.settimeout(_TIMEOUT)
            send(self.request, reply)

    def _answer(self, held: contextlib.ExitStack) -> dict[str, Any]:
        ask = self._read(held)
        match ask.get("ask"):
            case "ready":
                return {"pid": os.getpid()}
            case "machine":
                names = self.server.machine()
                return {"dns": list(names.dns), "addresses": list(names.addresses)}
            case "counts":
                return self.server.counts.hand_out(str(ask.get("acknowledged", "")))
            case "request":
                return self._call(outward.read(ask), held)
        raise BadInput("That is nothing that the egress role does.", "Use the falaj command.")

    def _read(self, held: contextlib.ExitStack) -> dict[str, Any]:
        (length,) = LENGTH.unpack(exactly(self.request, LENGTH.size))
        if length > _LONGEST_ASK:
            raise TooLarge("The call is too large.", "Send less.")
        if length > LARGE:
            self._hold_large(held, Until(_TIMEOUT))
        try:
            ask = json.loads(exactly(self.request, length))
        except (ValueError, RecursionError):
            ask = None
        if not isinstance(ask, dict):
            raise BadInput("An ask must be a JSON object.", "Use the falaj command.")
        return ask

    def _call(self, asked: Asked, held: contextlib.ExitStack) -> dict[str, Any]:
        """Do a call, and count how it ended."""
        until, traffic, verdict = Until(asked.deadline), Traffic(), FAILED
        if not self.server.calls.acquire(timeout=asked.deadline):
            raise Overloaded("Too many calls out are under way.", "Try again in a moment.")
        try:
            reply = self._send(asked, until, traffic, held)
            verdict = DONE
            return reply
        except Forbidden:
            verdict = REFUSED
            raise
        finally:
            self.server.calls.release()
            log.info("%s: %s", rules.shown(asked.host, asked.port), verdict)
            self.server.counts.add(asked.host, asked.port, verdict, traffic.out, traffic.come)

    def _send(
        self, asked: Asked, until: Until, traffic: Traffic, held: contextlib.ExitStack
    ) -> dict[str, Any]:
        if not self.server.allows(asked.host, asked.port):
            named = rules.shown(asked.host, asked.port)
            raise Forbidden(f"{named} is not allowed.", f"Allow it with: falaj egress allow {named}")
        own = self.server.machine().addresses
        return outward.send(
            asked, until, own, self.server.trust, lambda: self._hold_large(held, until), traffic
        )

    def _hold_large(self, held: contextlib.ExitStack, until: Until) -> None:
        """Only a few large bodies are in memory at once: this call waits until it is one of them."""
        if getattr(self, "_holds", False):
            return
        if not self.server.large.acquire(timeout=until.left()):
            raise Overloaded("Too much is being sent and fetched at once.", "Try again in a moment.")
        self._holds = True
        held.callback(self.server.large.release)
