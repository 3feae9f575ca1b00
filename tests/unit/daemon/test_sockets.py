"""Sockets are ours alone, and their address says whether they need TLS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.daemon import sockets
from appliance.errors import Conflict, FalajError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("host", "tls"),
    [("127.0.0.1", False), ("127.5.5.5", False), ("::1", False), ("0.0.0.0", True), ("192.0.2.7", True)],
)
def test_only_the_loopback_speaks_plain_http(host: str, tls: bool) -> None:
    """192.0.2.7 is no address of any machine (RFC 5737): it is bound all the same, for when it comes."""
    made = sockets.listen(host, free_port(), "inference.port")
    assert sockets.needs_tls(made) is tls
    made.close()


def test_several_addresses_are_bound_or_none() -> None:
    port = free_port()
    made = sockets.listen_all("127.0.0.1, 127.0.0.2", port, "inference.port")
    assert [sock.getsockname() for sock in made] == [("127.0.0.1", port), ("127.0.0.2", port)]
    with pytest.raises(Conflict, match=rf"Port {port} on 127\.0\.0\.2 is taken"):
        sockets.listen_all("127.0.0.3, 127.0.0.2", port, "inference.port")
    sockets.listen("127.0.0.3", port, "inference.port").close()  # the first half of that was let go
    for sock in made:
        sock.close()


def test_a_wildcard_hears_both_kinds_of_address_and_is_alone() -> None:
    port = free_port()
    made = sockets.listen("::", port, "inference.port")
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=5).close()
    with pytest.raises(FalajError, match="is taken"):
        sockets.listen("127.0.0.1", port, "inference.port")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("0.0.0.0", port))
    made.close()


def test_systemd_may_hand_over_several_sockets_of_a_name() -> None:
    program = """
import os, socket
from appliance.daemon.sockets import from_systemd
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "admin:inference:admin"}
found = from_systemd()
print({name: [sock.getsockname()[0] for sock in every] for name, every in found.items()})
print([name for name in os.environ if name.startswith("LISTEN_")], from_systemd())
print({sock.get_inheritable() for every in found.values() for sock in every})
"""
    made = [socket.create_server((f"127.0.0.{number}", 0)) for number in (1, 2, 3)]

    def as_systemd() -> None:
        copies = [os.dup(sock.fileno()) for sock in made]
        for number, copy in enumerate(copies):
            os.dup2(copy, 3 + number)

    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=as_systemd,
        pass_fds=(3, 4, 5),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    for sock in made:
        sock.close()
    assert done.stdout.splitlines() == [
        "{'admin': ['127.0.0.1', '127.0.0.3'], 'inference': ['127.0.0.2']}",
        "[] {}",
        "{False}",
    ], done.stderr


def test_only_a_listening_socket_is_adopted() -> None:
    with socket.socket() as idle, pytest.raises(FalajError, match="is no socket that listens"):
        sockets.adopt(idle.fileno())
    with open(os.devnull) as file, pytest.raises(FalajError, match="is no socket"):
        sockets.adopt(file.fileno())


def test_a_path_is_listened_on_again_after_a_crash(tmp_path: Path) -> None:
    first = sockets.listen_at(tmp_path / "endpoint.sock")
    assert not sockets.needs_tls(first)
    first.close()
    second = sockets.listen_at(tmp_path / "endpoint.sock")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "endpoint.sock"))
    second.close()
    assert (tmp_path / "endpoint.sock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FalajError, match="cannot be listened on"):
        sockets.listen_at(tmp_path / "nowhere" / "endpoint.sock")
