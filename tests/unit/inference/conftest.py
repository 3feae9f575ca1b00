"""Real endpoints in processes of their own (server.py), and the hand-built graphs behind them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def load(name: str, path: Path) -> Any:
    """A helper file as a module, whatever the import mode of pytest is."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


class Live:
    """A running server.py."""

    def __init__(self, **config: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.scheme = "https" if config.get("tls") else "http"
        self._ports: list[int] = []
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    @property
    def ports(self) -> list[int]:
        with self._lock:
            if not self._ports:
                line = self.process.stdout.readline()  # type: ignore[union-attr]
                if not line:
                    raise RuntimeError(self.process.stderr.read())  # type: ignore[union-attr]
                self._ports = [int(word) for word in line.split()]
            return self._ports

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def client(self, token: str | None = "all", **options: Any) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False, **options)

    def tell(self, line: str) -> dict[str, Any]:
        assert self.port
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        reply: dict[str, Any] = json.loads(self.process.stdout.readline())
        return reply

    def wait_for(self, field: str, at_least: int = 1) -> None:
        """Until so many are counted there, or until fewer than that are when it is 0."""
        until = time.monotonic() + 20
        while (self.tell("state")[field] < at_least) if at_least else self.tell("state")[field]:
            assert time.monotonic() < until, f"{field}: {self.tell('state')}"
            time.sleep(0.002)

    def connect(self) -> socket.socket:
        self._sockets.append(socket.create_connection(("127.0.0.1", self.port), timeout=10))
        return self._sockets[-1]

    def hang_up(self) -> None:
        """Close every raw connection that a test left open."""
        while self._sockets:
            self._sockets.pop().close()

    def stop(self, how: int = signal.SIGTERM) -> tuple[int, str, str]:
        """(exit status, rest of stdout, stderr)"""
        if how == signal.SIGKILL:
            self.hang_up()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            out, err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        return self.process.returncode, out, err


def read_reply(sock: socket.socket, seconds: float = 10.0) -> tuple[int, dict[str, str], bytes]:
    """One HTTP reply off a raw socket: (status, headers, body); status 0 when the peer closed."""
    sock.settimeout(seconds)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1)
        if not piece:
            return 0, {}, data
        data += piece
    head, *lines = data.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines if line)}
    body = b""
    while (left := int(headers.get("content-length", "0")) - len(body)) > 0:
        body += sock.recv(left)
    return int(head.split()[1]), headers, body


@pytest.fixture(scope="session")
def graphs() -> Any:
    return load("falaj_test_graphs", HERE.parent / "runtimes" / "graphs.py")


@pytest.fixture(scope="session")
def artefact(graphs: Any) -> Any:
    """server.py's artefact(model, version, runtime): what the live servers serve."""
    return load("falaj_test_server", HERE / "server.py").artefact


@pytest.fixture(scope="session")
def running() -> Any:
    """All servers that are shared by tests, started together."""
    limits = {"body_deadline": 1.0, "request_deadline": 0.15, "max_body_mb": 1, "max_in_flight": 210}
    servers = {
        "plain": Live(models=["iris", "price", "shop", "slow"]),
        "limited": Live(models=["iris", "slow"], settings=limits),
        "patient": Live(models=["iris"], settings={"body_deadline": 3600.0}),
    }
    yield servers
    for server in servers.values():
        server.stop(signal.SIGKILL)


@pytest.fixture
def plain(running: Any) -> Iterator[Live]:
    server: Live = running["plain"]
    yield server
    server.hang_up()


@pytest.fixture
def limited(running: Any) -> Iterator[Live]:
    server: Live = running["limited"]
    yield server
    server.hang_up()


@pytest.fixture
def patient(running: Any) -> Iterator[Live]:
    server: Live = running["patient"]
    yield server
    server.hang_up()


@pytest.fixture
def launch() -> Any:
    """launch(**config) -> Live, stopped after the test."""
    started: list[Live] = []

    def begin(**config: Any) -> Live:
        started.append(Live(**config))
        return started[-1]

    yield begin
    for server in started:
        server.stop(signal.SIGKILL)


@pytest.fixture
def reply() -> Any:
    return read_reply
