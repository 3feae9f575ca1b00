"""The CLI's door: a Unix socket that asks the kernel who is calling (SO_PEERCRED, unix(7)).

Only the owner of the data directory and root get in; no password is needed and every change is audited
under the caller's account. A request is one JSON object, framed by its length, and may carry an open
file (SCM_RIGHTS): the caller's own permissions opened it. The reply is one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import secrets
import socket
import socketserver
import time
from typing import IO, Any

from appliance.app import App
from appliance.errors import BadInput, FalajError, Forbidden, TooLarge
from appliance.framing import LENGTH, LONGEST, exactly, peer_uid, socket_path
from appliance.security.refusals import Refusals
from appliance.security.roles import Caller, Role
from appliance.verbs import perform
from appliance.verbs.call import Call

log = logging.getLogger(__name__)

_TIMEOUT = 30.0
_LINGER = 2.0


class _NoCaller(Exception):
    """The caller went away, or never spoke our protocol."""


class LocalServer(socketserver.ThreadingUnixStreamServer):
    """Serves verbs to local callers, a thread a call."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, app: App) -> None:
        self.app = app
        self.refusals = Refusals(app.home.registry, "socket")
        path = socket_path(app.home.run_dir)
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Door)
        path.chmod(0o600)


class _Door(socketserver.BaseRequestHandler):
    server: LocalServer
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(_TIMEOUT)
        try:
            reply: dict[str, Any] = {"result": self._answer()}
        except _NoCaller:
            return
        except FalajError as error:
            reply = {"error": error.as_json(), "kind": type(error).__name__}
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("call failed unexpectedly, reference %s", reference)
            unexpected = FalajError("Something failed unexpectedly.", f"The log has it under {reference}.")
            reply = {"error": unexpected.as_json(), "kind": "FalajError"}
        content = json.dumps(reply, ensure_ascii=False, default=str).encode("utf-8", "replace")
        try:
            self.request.settimeout(_TIMEOUT)
            self.request.sendall(LENGTH.pack(len(content)) + content)
            self._read_out()
        except OSError:
            log.info("a caller left before its answer")

    def _read_out(self) -> None:
        """Take in what a refused caller still sends: closing on it would take our answer away."""
        self.request.shutdown(socket.SHUT_WR)
        self.request.settimeout(_LINGER)
        ends = time.monotonic() + _LINGER
        while time.monotonic() < ends and self.request.recv(1 << 20):
            pass

    def _answer(self) -> Any:
        caller = self._caller()
        try:
            body, file = receive(self.request)
        except OSError as error:
            raise _NoCaller from error
        self.request.settimeout(None)
        try:
            args = body.get("args")
            if not isinstance(body.get("verb"), str) or not isinstance(args, dict):
                raise BadInput("This is not a call of a verb.", "Use the falaj command.")
            return perform(self.server.app, Call(body["verb"], caller, args, file))
        finally:
            if file is not None:
                file.close()

    def _caller(self) -> Caller:
        """Whose process it is. Raises Forbidden unless it is the owner of the home or root."""
        uid = peer_uid(self.request)
        owner = self.server.app.home.path.stat().st_uid
        if uid not in (owner, 0):
            self.server.refusals.add(f"account:{_account(uid)}", Forbidden.status)
            raise Forbidden(
                "This account may not command the appliance.",
                f"Act as its owner: sudo -u {_account(owner)} falaj ...",
            )
        return Caller(f"cli:{_account(uid)}", Role.OWNER)


def receive(connection: socket.socket) -> tuple[dict[str, Any], IO[bytes] | None]:
    """One framed JSON object and the file that came with it, if any."""
    head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 1)
    file = _opened(descriptors[0]) if descriptors else None
    try:
        return _message(connection, head), file
    except BaseException:
        if file is not None:
            file.close()
        raise


def _opened(descriptor: int) -> IO[bytes]:
    try:
        return os.fdopen(descriptor, "rb")
    except OSError as error:
        os.close(descriptor)
        raise BadInput("What came with the call is not a file.", "Name one file.") from error


def _message(connection: socket.socket, head: bytes) -> dict[str, Any]:
    head += exactly(connection, LENGTH.size - len(head))
    (length,) = LENGTH.unpack(head)
    if length > LONGEST:
        raise TooLarge("The call is too large.", "Hand the rows over as a file.")
    try:
        body = json.loads(exactly(connection, length))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise BadInput("A call must be a JSON object.", "Use the falaj command.")
    return body


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
