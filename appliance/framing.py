"""How the local socket frames a message: its length in four bytes, then one JSON object."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

LENGTH = struct.Struct(">I")
LONGEST = 64 << 20


def socket_path(run_dir: Path) -> Path:
    """Where the appliance of a run folder listens for its own command line."""
    return run_dir / "falaj.sock"


def exactly(connection: socket.socket, count: int) -> bytes:
    """Read so many bytes. Raises ConnectionError when the other end closes before."""
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("the connection ended early")
        parts += part
    return bytes(parts)
