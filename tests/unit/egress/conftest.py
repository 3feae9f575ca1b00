"""A broker in this process, and servers that it may or may not call."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.egress import folder
from appliance.egress.broker import Broker
from appliance.egress.rules import parse
from appliance.security.authority import Identity, issue, make_authority
from appliance.security.names import Names
from tests.unit.egress.outside import Server, running

HERE = Names(("till.local",), ("198.51.100.7",))


@pytest.fixture
def outside() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server
        server.over.set()


@pytest.fixture
def authority() -> Identity:
    return make_authority(HERE, datetime.datetime.now(datetime.UTC))


@pytest.fixture
def secure(authority: Identity, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers with a certificate for some addresses."""
    stack, number = contextlib.ExitStack(), itertools.count()

    def start(*addresses: str) -> Server:
        own = issue(authority, Names(HERE.dns, addresses), datetime.datetime.now(datetime.UTC))
        path = tmp_path / f"server{next(number)}.pem"
        path.write_bytes(own.pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server = Server()
        server.socket = context.wrap_socket(server.socket, server_side=True)
        stack.enter_context(running(server))
        stack.callback(server.over.set)
        return server

    with stack:
        yield start


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "egress"
    folder.prepare(made)
    return made


@pytest.fixture
def broker(place: Path, authority: Identity) -> Iterator[Broker]:
    def trust() -> ssl.SSLContext:
        return ssl.create_default_context(cadata=authority.certificates_pem().decode())

    made = Broker(place, lambda: HERE, trust=trust)
    with running(made):
        yield made


@pytest.fixture
def allow(place: Path) -> Callable[..., None]:
    return lambda *rules: folder.write_allowed(place, [parse(one) for one in rules])
