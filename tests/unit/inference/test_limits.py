"""Slow, huge, too many and broken requests: none of them may hold the others up."""

from __future__ import annotations

import contextlib
import json
import select
import time

import pytest

pytestmark = pytest.mark.processes

GOOD = json.dumps({"rows": [{"sl": 1.0}]}).encode()


def head(path="/predict/iris", *extra, length=None):
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Authorization: Bearer all", *extra]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def hold(server, n):
    """n connections whose bodies were announced with 500 bytes and stopped after 5."""
    sockets = [server.connect() for _ in range(n)]
    for sock in sockets:
        sock.sendall(head(length=500) + b"12345")
    return sockets


def answered(sockets, seconds):
    """How many have anything to read (an answer or the end) by then."""
    until, waiting = time.monotonic() + seconds, set(sockets)
    while waiting and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select(list(waiting), [], [], left)
        waiting -= set(ready)
    return len(sockets) - len(waiting)


def test_200_half_sent_bodies_slow_nobody_and_are_ended(limited, reply):
    failed = limited.tell("state")["failed"]
    with limited.client() as client:
        client.post("/predict/iris", content=GOOD)
        sockets = hold(limited, 200)
        begun = time.monotonic()
        times = []
        while time.monotonic() - begun < 0.5:
            before = time.perf_counter()
            assert client.post("/predict/iris", content=GOOD).status_code == 200
            times.append(time.perf_counter() - before)
        assert limited.tell("state")["reading"] == 200
        assert sorted(times)[len(times) // 2] < 0.02
    assert answered(sockets, 5) == 200
    assert time.monotonic() - begun > 0.6  # not before their time
    for sock in sockets:
        status, headers, body = reply(sock)
        assert status == 408
        assert headers["connection"] == "close"
        assert "did not arrive in time" in json.loads(body)["error"]
        assert sock.recv(1) == b""  # and hung up
        sock.close()
    state = limited.tell("state")
    assert (state["reading"], state["in_flight"], state["failed"]) == (0, 0, failed)


def test_without_the_deadline_they_would_stay(patient):
    """Teeth: the same server with the deadline set away answers none of them."""
    sockets = hold(patient, 20)
    assert answered(sockets, 1.6) == 0
    assert patient.tell("state")["reading"] == 20
    for sock in sockets:
        sock.close()


def test_a_body_that_trickles_is_ended_too(limited, reply):
    sock = limited.connect()
    sock.sendall(head("/predict/iris", "Transfer-Encoding: chunked"))
    begun = time.monotonic()
    while time.monotonic() - begun < 5 and not select.select([sock], [], [], 0.1)[0]:
        sock.sendall(b"1\r\n \r\n")
    assert reply(sock)[0] == 408
    assert time.monotonic() - begun < 2.5


def test_huge_body_is_refused_before_it_is_sent(limited, reply):
    sock = limited.connect()
    sock.sendall(head(length=1024 * 1024 + 1))
    status, headers, body = reply(sock, 2.0)
    assert status == 413
    assert headers["connection"] == "close"
    assert json.loads(body)["error"] == "The request body is larger than 1 MiB."


def test_expect_continue_is_honoured(limited, reply):
    sock = limited.connect()
    sock.sendall(head("/predict/iris", "Expect: 100-continue", length=2_000_000))
    assert reply(sock, 2.0)[0] == 413  # and no "100 Continue" before it
    sock = limited.connect()
    sock.sendall(head("/predict/iris", "Expect: 100-continue", length=len(GOOD)))
    assert reply(sock, 2.0)[0] == 100
    sock.sendall(GOOD)
    assert reply(sock)[0] == 200


def test_huge_chunked_body_is_cut_off(limited, reply):
    sock = limited.connect()
    sock.sendall(head("/predict/iris", "Transfer-Encoding: chunked"))
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while sent < 1024 and not select.select([sock], [], [], 0)[0]:
            sock.sendall(piece)
            sent += 1
    with contextlib.suppress(ConnectionResetError):  # it may hang up while we are still sending
        assert reply(sock)[0] == 413
    assert sent < 1024
    assert limited.tell("state")["buffered"] == 0


def test_a_body_up_to_the_limit_is_taken(limited):
    with limited.client() as client:
        body = GOOD + b" " * (1024 * 1024 - len(GOOD))
        assert client.post("/predict/iris", content=body).status_code == 200
        chunked = client.post("/predict/iris", content=iter([GOOD[:10], GOOD[10:]]))
        assert chunked.status_code == 200


@pytest.mark.parametrize("length", ["-1", "12x", "99999999999999999999999", "1e3", ""])
def test_odd_content_lengths(limited, reply, length):
    sock = limited.connect()
    sock.sendall(head(length=length))
    assert reply(sock, 3.0)[0] in (400, 411, 413)


def test_too_many_at_once(launch):
    server = launch(models=["iris"], settings={"body_deadline": 60.0, "max_in_flight": 210})
    sockets = hold(server, 210)
    server.wait_for("reading", 210)
    with server.client() as client:
        answer = client.post("/predict/iris", content=GOOD)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
    for sock in sockets:
        sock.close()
    server.wait_for("reading", 0)
    with server.client() as client:
        assert client.post("/predict/iris", content=GOOD).status_code == 200


def test_past_the_request_deadline(limited):
    with limited.client() as client:
        before = limited.tell("state")["failed"]
        answer = client.post("/predict/slow", json={"rows": [{"x": 1.0}]})
        assert answer.status_code == 504
        assert "longer than 0.15 seconds" in answer.json()["error"]
        assert limited.tell("state")["failed"] == before + 1


def test_slow_models_do_not_block_the_loop(plain, reply):
    """While a slow prediction runs, others are answered."""
    with plain.client() as client:
        client.get("/healthz")
        body = b'{"rows": [{"x": 1.0}]}'
        sock = plain.connect()
        sock.sendall(head("/predict/slow", length=len(body)) + body)
        plain.wait_for("in_flight")
        assert client.get("/healthz").status_code == 200
        assert client.post("/predict/iris", content=GOOD).status_code == 200
        assert not select.select([sock], [], [], 0)[0]  # still running
        assert reply(sock)[0] == 200


def test_a_client_that_hangs_up_leaves_nothing_behind(limited):
    for extra in (b"", b"Transfer-Encoding: chunked\r\n"):
        sock = limited.connect()
        request = head(length=500) if not extra else head("/predict/iris", "Transfer-Encoding: chunked")
        sock.sendall(request + (b"5\r\nabcde\r\n" if extra else b"abc"))
        time.sleep(0.05)
        sock.close()
    until = time.monotonic() + 3
    while (state := limited.tell("state"))["reading"] and time.monotonic() < until:
        time.sleep(0.01)
    assert (state["reading"], state["in_flight"], state["buffered"]) == (0, 0, 0)


def test_keep_alive_and_pipelining(plain, reply):
    one = head(length=len(GOOD)) + GOOD
    sock = plain.connect()
    sock.sendall(one * 5)
    for _ in range(5):
        assert reply(sock)[0] == 200
    sock.sendall(head("/predict/nothing", length=2) + b"{}" + one)
    assert reply(sock)[0] == 404  # its body unread: the connection may end here, or go on rightly
    try:
        status = reply(sock)[0]
    except ConnectionResetError:
        status = 0
    assert status in (200, 0)
    sock.close()


@pytest.mark.parametrize(
    "bytes_sent", [b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_not_http_at_all(plain, bytes_sent):
    sock = plain.connect()
    sock.sendall(bytes_sent)
    sock.settimeout(5)
    try:
        data = sock.recv(4096)
    except ConnectionResetError:
        data = b""
    assert data == b"" or data.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
    with plain.client() as client:
        assert client.get("/healthz").status_code == 200
