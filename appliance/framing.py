"""Where the Unix sockets are, and how the local one frames a message: its length, then one JSON object."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

LENGTH = struct.Struct(">I")
LONGEST = 64 << 20
_CREDENTIALS = struct.Struct("3i")


def socket_path(run_dir: Path) -> Path:
    """Where the appliance of a run folder listens for its own command line."""
    return run_dir / "falaj.sock"


def endpoint_path(run_dir: Path) -> Path:
    """Where its endpoint listens for its own other roles, which may see no network."""
    return run_dir / "endpoint.sock"


def peer_uid(connection: socket.socket) -> int:
    """The account of the process at the other end, as the kernel knows it (SO_PEERCRED, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid


def exactly(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises ConnectionError when the other end closes before."""
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("the connection ended early")
        parts += part
    return bytes(parts)


def send(connection: socket.socket, body: dict[str, Any]) -> None:
    """Send one object."""
    content = json.dumps(body).encode()
    connection.sendall(LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket) -> dict[str, Any]:
    """Read one object. Raises OSError; ValueError for what is none."""
    (length,) = LENGTH.unpack(exactly(connection, LENGTH.size))
    body = json.loads(exactly(connection, length)) if length <= LONGEST else None
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return body
