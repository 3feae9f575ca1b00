"""Listening sockets are made here, exclusively, and handed down.

A server that binds for itself may set SO_REUSEPORT, and two appliances would then share a port without
a word. A socket bound here is ours alone or the start fails with a plain message. Sockets travel to
child processes as inherited file descriptors, which is also how systemd hands them over.
"""

from __future__ import annotations

import errno
import os
import socket

from appliance.errors import Conflict, FalajError

BACKLOG = 1024
_FIRST_SYSTEMD_FD = 3


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Bind and listen on an address. Raises Conflict when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} on {host} is taken by another program.",
                f"Stop that program, or set {setting} in falaj.toml to a free port.",
            ) from error
        if error.errno == errno.EACCES:
            raise FalajError(
                f"Port {port} may not be used by this user.", f"Set {setting} above 1023."
            ) from error
        raise FalajError(
            f"{host}:{port} cannot be used: {error.strerror}.", f"Mend {setting} in falaj.toml."
        ) from error
    return made


def adopt(fd: int) -> socket.socket:
    """A listening socket that a parent process has made."""
    return socket.socket(fileno=fd)


def from_systemd() -> dict[str, socket.socket]:
    """The sockets that systemd passed to this process, by name (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return {name: adopt(_FIRST_SYSTEMD_FD + index) for index, name in zip(range(count), names, strict=False)}
