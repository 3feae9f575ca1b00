"""Asking the egress role, from every other process of the appliance."""

from __future__ import annotations

import base64
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.egress.folder import socket_path
from appliance.errors import FalajError, Unavailable, rebuild
from appliance.framing import receive, send

_PROMPT = 2.0  # seconds for what needs nobody else
_WAIT = 30.0  # seconds for which a call may wait its turn beside its own deadline


@dataclass(frozen=True)
class Answer:
    """What a host outside answered; a redirect is an answer like others."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def request(
    folder: Path,
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    deadline: float = 30.0,
) -> Answer:
    """Have a host outside asked.

    Raises Forbidden where no rule allows it, Unavailable, DeadlineExceeded, TooLarge, Overloaded, BadInput.
    """
    sent = None if body is None else base64.b64encode(body).decode()
    told = {"method": method, "url": url, "headers": headers or {}, "body": sent, "deadline": deadline}
    reply = ask(folder, "request", deadline + _WAIT, **told)
    pairs = [(str(name), str(value)) for name, value in reply["headers"]]
    return Answer(int(reply["status"]), pairs, base64.b64decode(reply["body"]))


def machine(folder: Path) -> tuple[list[str], list[str]]:
    """The names and the addresses of this machine, as they are where its network is."""
    reply = ask(folder, "machine")
    return list(reply["dns"]), list(reply["addresses"])


def is_ready(folder: Path) -> int | None:
    """The process id of the role; None while it does not answer."""
    try:
        return int(ask(folder, "ready")["pid"])
    except FalajError:
        return None


def ask(folder: Path, what: str, seconds: float = _PROMPT, **more: Any) -> dict[str, Any]:
    """One answer of the role. Raises Unavailable while it does not run, and what it answers with."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            if os.geteuid() != 0 and folder.stat().st_uid not in (0, os.geteuid()):
                raise PermissionError  # the folder's path can be foretold
            connection.connect(str(socket_path(folder)))
            send(connection, {"ask": what, **more})
            reply = receive(connection)
    except (OSError, ValueError) as error:
        raise Unavailable(
            "The part of the appliance that calls out does not answer.", "See: falaj status, falaj doctor"
        ) from error
    if "error" in reply:
        raise rebuild(reply["error"], str(reply.get("kind")))
    return reply
