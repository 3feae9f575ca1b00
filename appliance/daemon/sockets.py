"""Listening sockets are made here, exclusively, and handed down.

A server that binds for itself may set SO_REUSEPORT, and two appliances would then share a port without
a word. A socket bound here is ours alone or the start fails with a plain message. Sockets travel to
child processes as inherited file descriptors, which is also how systemd hands them over.

Whether a socket speaks TLS is seen from its own address, wherever it was made: on a loopback address or a
path it does not, on any other it does.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from appliance import addresses
from appliance.errors import Conflict, FalajError

BACKLOG = 1024
_FIRST_SYSTEMD_FD = 3
_HANDED = "Hand over listening stream sockets only: systemd's ListenStream=, or --fd of a parent."
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
    return sock.family != socket.AF_UNIX and not addresses.is_loopback(str(sock.getsockname()[0]))


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


def listen_at(path: Path) -> socket.socket:
    """Listen on a path, for this account alone; what a run before has left there goes."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise FalajError(
            f"{path} cannot be listened on: {error.strerror or error}.",
            "See whether its folder belongs to this account, and whether the path is short enough.",
        ) from error
    return made


def adopt(fd: int) -> socket.socket:
    """A listening socket that somebody else has made; no child gets it by accident. Raises FalajError."""
    try:
        made = socket.socket(fileno=fd)
    except OSError as error:
        raise FalajError(f"Descriptor {fd} is no socket.", _HANDED) from error
    if made.type != socket.SOCK_STREAM or not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        made.detach()
        raise FalajError(f"Descriptor {fd} is no socket that listens for connections.", _HANDED)
    made.set_inheritable(False)
    return made


def from_systemd() -> dict[str, list[socket.socket]]:
    """The sockets that systemd passed to this process, by name (sd_listen_fds(3)); several may share one.

    What told of them is taken out of the environment: they are not our children's.
    """
    told = {name: os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if told["LISTEN_PID"] != str(os.getpid()):
        return {}
    count = int(told["LISTEN_FDS"]) if told["LISTEN_FDS"].isdecimal() else 0
    names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else []
    names += ["unknown"] * (count - len(names))  # as systemd itself calls what has no name
    found: dict[str, list[socket.socket]] = {}
    for index, name in zip(range(count), names, strict=False):
        found.setdefault(name, []).append(adopt(_FIRST_SYSTEMD_FD + index))
    return found
