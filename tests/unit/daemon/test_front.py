"""The admin port's front against clients that are slow, silent, many, or make things up."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.processes
SERVER = Path(__file__).parent / "front_server.py"
MANY = 200


class Live:
    """A running front_server.py."""

    def __init__(self, home: Path, *more: str, **constants: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(home), json.dumps(constants), *more],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def raw(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection that has sent this and no more."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        made.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        return made


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    made: list[Live] = []

    def start(*more: str, **constants: Any) -> Live:
        made.append(Live(tmp_path / f"home{len(made)}", *more, **constants))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def status_of(connection: socket.socket) -> int:
    """The status of the answer; 0 when it was closed without one."""
    with contextlib.suppress(ConnectionError):
        head = connection.recv(4096)
        return int(head.split()[1]) if head else 0
    return 0


FORM = "Host: localhost\nContent-Type: application/x-www-form-urlencoded"
HALF = {
    "small": (f"POST /setup HTTP/1.1\n{FORM}\nContent-Length: 500", b"name=mona&pass"),
    "large": (f"POST /setup HTTP/1.1\n{FORM}\nContent-Length: 3000000", b"name=" + b"x" * 5000),
    "chunked": (f"POST /setup HTTP/1.1\n{FORM}\nTransfer-Encoding: chunked", b"5\r\nname=\r\n"),
    "multipart": (
        "POST /setup HTTP/1.1\nHost: localhost\nContent-Type: multipart/form-data; boundary=b\n"
        "Transfer-Encoding: chunked", b"3\r\n--b\r\n",
    ),
    "an upload of nobody": (
        "POST /datasets HTTP/1.1\nHost: localhost\nContent-Type: multipart/form-data; boundary=b\n"
        "Content-Length: 3000000", b"--b\r\n",
    ),
}  # fmt: skip


def others_served(server: Live, head: str, body: bytes, seconds: float) -> int:
    """How many of twenty others are answered in time while so many bodies stay half sent."""
    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(server.raw(head, body))
        served, ends = 0, time.monotonic() + seconds
        for _ in range(20):
            with contextlib.suppress(httpx.TimeoutException):
                left = max(0.01, ends - time.monotonic())
                served += httpx.get(f"{server.url}/sign-in", timeout=left).status_code == 403
        return served


@pytest.mark.parametrize("kind", HALF)
def test_two_hundred_half_sent_bodies_stop_nobody(live: Callable[..., Live], kind: str) -> None:
    assert others_served(live(), *HALF[kind], seconds=4) == 20


UPLOAD = "POST /upload HTTP/1.1\nHost: x\nContent-Length: 3000000"


def test_stalled_uploads_stop_only_other_uploads(live: Callable[..., Live]) -> None:
    server = live("--echo")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(server.raw(UPLOAD, b"x"))
        assert httpx.get(server.url, timeout=4).status_code == 200
        reply = httpx.post(f"{server.url}/upload", content=b"x", timeout=4)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")


def test_teeth_in_the_threads_of_everybody_they_stop_everybody(live: Callable[..., Live]) -> None:
    server = live("--echo", "--shared", UPLOADS=100)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.raw(UPLOAD, b"x"))
        with pytest.raises(httpx.TimeoutException):
            httpx.get(server.url, timeout=2)


def test_a_stop_does_not_wait_for_an_upload_that_drips(live: Callable[..., Live]) -> None:
    server = live("--echo")
    with server.raw(UPLOAD, b"x") as connection:
        time.sleep(0.3)
        connection.sendall(b"x")
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 10


def test_a_half_sent_body_is_told_so_in_time(live: Callable[..., Live]) -> None:
    server = live("--echo", SECONDS=0.5)
    with server.raw("POST /x HTTP/1.1\nHost: x\nContent-Length: 10", b"half") as connection:
        assert status_of(connection) == 408


def test_an_upload_that_falls_silent_is_cut_off(live: Callable[..., Live]) -> None:
    server = live("--echo", SILENCE=0.5)
    with server.raw("POST /upload HTTP/1.1\nHost: x\nContent-Length: 3000000", b"x" * 5000) as connection:
        assert status_of(connection) in (0, 408, 500)
    assert httpx.get(server.url).json()["size"] == 0


def test_a_slow_upload_that_goes_on_is_taken(live: Callable[..., Live]) -> None:
    server = live("--echo", SILENCE=0.5, SLOWEST=10.0)
    with server.raw("POST /upload HTTP/1.1\nHost: x\nContent-Length: 50") as connection:
        for _ in range(10):
            time.sleep(0.12)  # together more than it may pause
            connection.sendall(b"12345")
        assert status_of(connection) == 200


def test_an_upload_that_only_drips_is_cut_off(live: Callable[..., Live]) -> None:
    server = live("--echo", SILENCE=0.5, SLOWEST=1000.0)
    with server.raw("POST /upload HTTP/1.1\nHost: x\nContent-Length: 3000") as connection:
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                time.sleep(0.1)
                connection.sendall(b"12345")
        assert status_of(connection) in (0, 408, 500)


def test_too_many_at_once_are_told_when_to_come_back(live: Callable[..., Live]) -> None:
    server = live("--echo", MOST_WAITING=4, THREADS=2)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.raw("GET /slow HTTP/1.1\nHost: x"))
        deadline = time.monotonic() + 10
        while (reply := httpx.get(server.url, timeout=10)).status_code != 429:
            assert time.monotonic() < deadline
        assert reply.headers["retry-after"] == "1"
        assert set(reply.json()) == {"error", "hint"}
    deadline = time.monotonic() + 10
    while httpx.get(server.url, timeout=10).status_code != 200:  # who hung up was let go
        assert time.monotonic() < deadline


def chunks(size: int, piece: int) -> Iterator[bytes]:
    for start in range(0, size, piece):
        yield b"falaj" * (min(piece, size - start) // 5)


@pytest.mark.parametrize(
    ("path", "size"), [("/upload", 5), ("/upload", 3_000_000), ("/x", 5), ("/x", 5000), ("/x", 900_000)]
)
def test_every_way_to_send_a_body(live: Callable[..., Live], path: str, size: int) -> None:
    server = live("--echo")
    expected = {"size": size, "sha256": hashlib.sha256(b"falaj" * (size // 5)).hexdigest()}
    for content in (b"".join(chunks(size, 1000)), chunks(size, 1000)):
        told = httpx.post(server.url + path, content=content, timeout=30).json()
        assert {key: told[key] for key in expected} == expected


def test_a_big_upload_flows_through(live: Callable[..., Live]) -> None:
    server = live("--echo")
    process = psutil.Process(server.process.pid)
    httpx.get(server.url)
    before = process.memory_info().rss
    told = httpx.post(f"{server.url}/upload", content=chunks(300_000_000, 1_000_000), timeout=60).json()
    assert told["size"] == 300_000_000
    assert process.memory_info().rss - before < 60 << 20


def test_what_strangers_send_is_small(live: Callable[..., Live]) -> None:
    """Told by its length it is refused unread; without one it is read no further than it may be."""
    server = live()
    for size in (99_999_999_999, 33 << 20, 70_000):
        head = f"POST /setup HTTP/1.1\n{FORM}\nContent-Length: {size}"
        with server.raw(head, b"" if size > 1 << 20 else b"x" * size) as connection:
            assert status_of(connection) == 413
    head = f"POST /setup HTTP/1.1\n{FORM}\nTransfer-Encoding: chunked"
    with server.raw(head, b"11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n") as connection:
        assert status_of(connection) in (403, 413)


@pytest.mark.parametrize("path", ["/datasets/سجل", "/a%2Fb", "/%F0%9F%98%80", "/a%00b", "/%ff", "/a%20b"])
def test_addresses_in_any_script(live: Callable[..., Live], path: str) -> None:
    server = live("--echo")
    reply = httpx.get(server.url + path)
    assert reply.status_code == 200
    assert reply.json()["path"] == httpx.URL(server.url + path).path


def test_no_header_passes_for_another(live: Callable[..., Live]) -> None:
    """X_Csrf_Token is not X-CSRF-Token, nor does a header say who the client is."""
    server = live("--echo")
    told = httpx.get(
        server.url,
        headers={
            "X_Csrf_Token": "smuggled", "Remote-Addr": "192.0.2.1", "Remote_Addr": "192.0.2.1",
            "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "evil.example", "wsgi.url_scheme": "https",
            "Server_Port": "1", "Content_Length": "5", "Path_Info": "/x", "X-Good": "kept",
        },
    ).json()  # fmt: skip
    assert told["HTTP_X_GOOD"] == "kept"
    assert "HTTP_X_CSRF_TOKEN" not in told
    assert (told["REMOTE_ADDR"], told["path"]) == ("127.0.0.1", "/")
    assert (told["SERVER_PORT"], told["wsgi.url_scheme"]) == (str(server.port), "http")
    assert "CONTENT_LENGTH" not in told
    assert "smuggled" not in json.dumps(told)


@pytest.mark.parametrize(
    "head",
    [
        "POST /x HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6",
        "POST /x HTTP/1.1\nHost: x\nContent-Length: -1",
        "POST /x HTTP/1.1\nHost: x\nContent-Length: ٣",
        "POST /x HTTP/1.1\nHost: x\nContent-Length: \xb2",
        "POST /x HTTP/1.1\nHost: x\nTransfer-Encoding: gzip",
        "POST /x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked, identity",
        "GET  HTTP/1.1\nHost: x",
        "GET / HTTP/9.9\nHost: x",
        "G\x00T / HTTP/1.1\nHost: x",
        "GET / HTTP/1.1\nHost: x\nA b: c",
    ],
)
def test_what_is_not_http_gets_no_further(live: Callable[..., Live], head: str) -> None:
    server = live("--echo", SECONDS=1.0)
    made = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    with made as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("utf-8") + b"\r\n\r\n")
        assert status_of(connection) in (0, 400, 408, 501)
    assert httpx.get(server.url).status_code == 200


def test_one_answer_a_request_whatever_the_framing_says(live: Callable[..., Live]) -> None:
    """Both kinds of length: a request inside the body must not be answered as one of its own."""
    server = live("--echo", SECONDS=1.0)
    inside = b"0\r\n\r\nGET /inside HTTP/1.1\r\nHost: x\r\n\r\n"
    head = "POST /x HTTP/1.1\nHost: x\nConnection: close\nTransfer-Encoding: chunked\n"
    head += f"Content-Length: {len(inside)}"
    with server.raw(head, inside) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    assert b"/inside" not in answer


def test_clients_that_hang_up_leave_nothing_behind(live: Callable[..., Live]) -> None:
    server = live()
    process = psutil.Process(server.process.pid)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    for head, body in HALF.values():
        for _ in range(40):
            server.raw(head, body).close()
    deadline = time.monotonic() + 20
    while len(process.net_connections("tcp")) > 3:
        assert time.monotonic() < deadline, "connections are held"
        time.sleep(0.05)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
