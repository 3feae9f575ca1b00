"""Servers outside: what they were asked, and the ways in which they misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from appliance.egress.broker import Broker


class Outside(BaseHTTPRequestHandler):
    """Tells what it was asked; `/away` sends elsewhere, `/large` never ends, `/drip` hardly begins."""

    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        self.server.together.acquire()
        if self.path == "/drip":
            self._drip()
            return
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", "/elsewhere")
        self.send_header("X-Kept", "yes")
        self.end_headers()
        if self.path == "/large":
            self._pour()
        elif self.command != "HEAD":
            self.wfile.write(body or b"hello")

    def _drip(self) -> None:
        try:
            for letter in "HTTP/1.1 200 OK\r\nX: " + "y" * 10_000:
                self.wfile.write(letter.encode())
                if self.server.over.wait(0.1):
                    return
        except OSError:
            pass

    def _pour(self) -> None:
        try:
            for _ in range(64):
                self.wfile.write(bytes(1 << 20))
        except OSError:
            pass

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *given: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Outside)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.over = threading.Event()
        self.together = threading.Semaphore(1_000_000)

    def handle_error(self, request: object, client_address: object) -> None:
        pass

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def running(server: Server | Broker) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join(10)
