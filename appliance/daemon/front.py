"""Flask behind granian's RSGI: a small adapter, so that both ports are served the same way.

granian's own WSGI side has no body timeout: a few half-sent requests hold its threads for good. Here bodies
are read on the event loop, under a deadline and a memory budget, before a thread is taken. Only uploads
flow to their thread as it reads; they have few threads of their own, and a sender that goes silent, or only
drips, is cut off. What reads those has asked first who is calling.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from appliance.errors import FalajError, Overloaded, TooLarge
from appliance.inference import wire
from appliance.inference.bodies import BodyReader, BodyTooSlow, Gone

THREADS = 16
MOST_WAITING = 128  # requests that have arrived and are not answered yet; one more is answered 429
LARGEST = 4 << 20  # bytes of a body that is no upload
UPLOADS = 4  # at once, in threads of their own; one more is answered 429
SECONDS = 10.0  # that a body may take which is read before a thread is taken
SILENCE = 30.0  # seconds that an upload may pause
LINGER = 2.0  # seconds in which a refused sender may finish
SLOWEST = 1024.0  # bytes a second that an upload must bring on the whole, after its first SILENCE seconds
_JSON = ("content-type", "application/json")

_HEALTH = SimpleNamespace(
    method="GET",
    path="/healthz",
    query_string="",
    http_version="1.1",
    scheme="http",
    server="127.0.0.1:0",
    client="127.0.0.1:0",
    headers={"host": "127.0.0.1"},
)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """An RSGI application around a WSGI one.

    `largest` tells by method and path how many bytes a body may have; None is an upload, which may flow.
    """

    def __init__(self, wsgi: Wsgi, largest: Callable[[str, str], int | None]) -> None:
        self._wsgi = wsgi
        self._largest = largest
        self._waiting = self._uploading = 0
        self._closed = threading.Event()
        self._bodies = BodyReader(SECONDS, LARGEST)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._uploads: ThreadPoolExecutor | None = None
        self._sweep: asyncio.Task[None] | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="falaj-page")
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="falaj-upload")
        self._sweep = loop.create_task(self._bodies.sweep())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._closed.set()  # an upload that still flows ends, and its thread with it
        for pool in (self._pool, self._uploads):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def trouble(self) -> str:
        """Why GET /healthz is not answered, by way of the loop and a thread; "" when it is.

        Asked from another thread, and waits for as long as they do.
        """
        if self._loop is None:
            return "the page is not served yet"
        asked = self._in_a_thread(self._pool, environ(_HEALTH, io.BytesIO()))
        status, _, body = asyncio.run_coroutine_threadsafe(asked, self._loop).result()
        return "" if status == 200 else f"the page answers {status}: {body[:200].decode('utf-8', 'replace')}"

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        try:
            status, headers, body = await self._answer(scope, proto)
        except FalajError as error:
            headers = [_JSON, ("connection", "close")]
            if isinstance(error, Overloaded):
                headers.append(("retry-after", str(error.retry_after)))
            proto.response_bytes(error.status, headers, wire.dumps_error(error.as_json()))
        except Gone:
            return
        else:
            proto.response_bytes(status, headers, body)

    async def _answer(self, scope: Any, proto: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        length = scope.headers.get("content-length")
        body = b""
        if length is not None or scope.headers.get("transfer-encoding") is not None:
            largest = self._largest(scope.method, scope.path)
            if largest is None:
                return await self._take_upload(scope, proto)
            if length is not None and length.isdecimal() and int(length[:20]) > largest:
                raise TooLarge("The request is too large.", "Send less at once.")
            body = await self._bodies.read(proto, length, perf_counter())
        try:
            if self._waiting >= MOST_WAITING:  # a request that has not arrived yet keeps nobody else out
                raise Overloaded(
                    "The appliance is answering many requests already.", "Try again in a moment."
                )
            self._waiting += 1
            try:
                return await self._in_a_thread(self._pool, environ(scope, io.BytesIO(body)))
            finally:
                self._waiting -= 1
        finally:
            self._bodies.release(len(body))

    async def _take_upload(self, scope: Any, proto: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        """Let the body flow into a thread of the few that uploads have to themselves."""
        if self._uploading >= UPLOADS:
            raise Overloaded("Other files are coming in already.", "Try again when they are there.")
        stream = _Stream(proto, asyncio.get_running_loop(), self._closed)
        self._uploading += 1
        try:
            status, headers, answer = await self._in_a_thread(self._uploads, environ(scope, stream))
        finally:
            self._uploading -= 1
        if not stream.ended:  # refused before it was read: closing at once could take our answer away
            await stream.read_out()
            headers.append(("connection", "close"))
        return status, headers, answer

    async def _in_a_thread(
        self, pool: ThreadPoolExecutor | None, environment: dict[str, Any]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        return await asyncio.get_running_loop().run_in_executor(pool, self._call, environment)

    def _call(self, environment: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        told: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            told[:] = [int(status[:3]), [(name.lower(), value) for name, value in headers]]

        parts = self._wsgi(environment, start_response)
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = told
        # the server writes the length itself; a body on these would break the connection's framing
        return status, [one for one in headers if one[0] != "content-length"], body


class _Stream(io.RawIOBase):
    """A body as it arrives, read from a thread; each piece is fetched on the server's event loop."""

    def __init__(self, proto: Any, loop: asyncio.AbstractEventLoop, closed: threading.Event) -> None:
        self._pieces = aiter(proto)
        self._loop = loop
        self._closed = closed
        self._rest = b""
        self._begun, self._received = perf_counter(), 0
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self.ended:
            self._rest = self._next()
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    async def read_out(self) -> None:
        """Take in what a refused sender still sends, for a moment."""
        with contextlib.suppress(Exception):  # whatever ends it, it has ended
            async with asyncio.timeout(LINGER):
                async for _piece in self._pieces:
                    pass

    def _next(self) -> bytes:
        future = asyncio.run_coroutine_threadsafe(self._fetch(), self._loop)
        piece = None
        try:
            while not future.done():
                if self._closed.is_set():  # the loop has stopped, and nothing will ever come
                    raise BodyTooSlow("The appliance is stopping.", "Send the file again in a moment.")
                wait([future], 0.5)
            piece = future.result()
        except TimeoutError:
            raise _stopped() from None
        except FalajError:
            raise
        except Exception as error:  # the server's own classes for a broken connection
            raise BodyTooSlow("The upload broke off.", "Send it again.") from error
        if piece is None:
            self.ended = True
            return b""
        self._received += len(piece)
        seconds = perf_counter() - self._begun
        if seconds > SILENCE and self._received < SLOWEST * seconds:
            raise _stopped()
        return piece

    async def _fetch(self) -> bytes | None:
        try:
            piece: bytes = await asyncio.wait_for(anext(self._pieces), SILENCE)
        except StopAsyncIteration:
            return None
        return piece


def _stopped() -> BodyTooSlow:
    return BodyTooSlow("The upload stopped on its way.", "Check the network, then send it again.")


def environ(scope: Any, stream: io.RawIOBase | io.BytesIO) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of an RSGI request. Only the connection itself says who the peer is."""
    host, _, port = scope.server.rpartition(":")
    made: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode("utf-8", "replace").decode("latin-1"),  # decoded by the server already
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host.strip("[]") or "localhost",
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue  # `X_Y` would pass for `X-Y`
        key = name.upper().replace("-", "_")
        made[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return made
