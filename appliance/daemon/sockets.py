"""Listening sockets are made here, exclusively, and handed down.

A server that binds for itself may set SO_REUSEPORT, and two appliances would then share a port without
a word. A socket bound here is ours alone or the start fails with a plain message. Sockets travel to
child processes as inherited file descriptors, which is also how systemd hands them over.

Whether a socket speaks TLS is seen from its own address, wherever it was made: on a loopback address it
does not, on any other it does.
"""

from __future__ import annotations

import errno
import os
import socket

from appliance import addresses
from appliance.errors import Conflict, FalajError

BACKLOG = 1024
_FIRST_SYSTEMD_FD = 3
_IP_FREEBIND = 15  # ip(7)
_IPV6_FREEBIND = 78  # linux/in6.h


def listen_all(hosts: str, port: int, setting: str) -> list[socket.socket]:
    """A socket for each address of a `host` setting, or none of them. Raises Conflict when one is taken."""
    made: list[socket.socket] = []
    try:
        for host in addresses.hosts(hosts):
            made.append(listen(host, port, setting))
    except BaseException:
        for one in made:
            one.close()
        raise
    return made


def needs_tls(sock: socket.socket) -> bool:
    """Whether anybody but this machine can reach the socket."""
    return not addresses.is_loopback(str(sock.getsockname()[0]))


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Bind and listen on an address. Raises Conflict when the port is taken."""
    try:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise FalajError(f"This machine has no addresses like {host}.", f"Mend {setting}.") from error
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # an address that the network gives out only after our start is bound now, and answers once it is there
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
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


def from_systemd() -> dict[str, list[socket.socket]]:
    """The sockets that systemd passed to this process, by name (sd_listen_fds(3)); several may share one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    found: dict[str, list[socket.socket]] = {}
    for index, name in zip(range(count), names, strict=False):
        found.setdefault(name, []).append(adopt(_FIRST_SYSTEMD_FD + index))
    return found
