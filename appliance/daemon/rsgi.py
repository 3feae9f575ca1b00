"""Run granian's RSGI worker in this process, on a listening socket that we own.

granian alone binds with SO_REUSEPORT, and two servers then share a port silently; so we bind, and hand it
the descriptor. That, and one worker without granian's own process supervisor, needs names that granian does
not document: granian is pinned, and tests/unit/inference/test_rsgi.py watches that they exist and work.
No other module imports granian for the endpoint.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from granian.http import HTTP1Settings

from appliance.errors import BadInput

# granian's private half; its type stubs are behind its code, hence Any
_core: Any = importlib.import_module("granian._granian")
_futures: Any = importlib.import_module("granian._futures")

MAX_CONNECTIONS = 4096  # open requests the server hands over at once; our own limit answers 429 long before
HEADER_MS = 10_000  # a connection that has not sent its headers by then is closed


@dataclass(frozen=True)
class Tls:
    """Certificate chain and key in PEM files; TLS 1.2 or later, clients need no certificate."""

    certificate: Path
    key: Path


def serve_rsgi(
    app: Any,
    sock: socket.socket,
    backlog: int,
    tls: Tls | None = None,
    *,
    drain_seconds: float = 30.0,
    on_stop: Callable[[], None] | None = None,
) -> bool:
    """Serve until SIGTERM or SIGINT, then let running requests end; blocks the main thread.

    `sock` is bound, and stays open. `app` has __rsgi__ and, if it likes, __rsgi_init__(loop) and
    __rsgi_del__(loop).
    `on_stop` runs on the loop when the signal comes. True when all requests ended within drain_seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve_rsgi handles signals: call it from the main thread")
    sock.listen(backlog)
    sock.setblocking(False)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    ended = asyncio.Event()
    stop = _core.WorkerSignal()
    stop.add_cb(lambda: loop.call_soon_threadsafe(ended.set))
    drained = True

    def give_up() -> None:
        nonlocal drained
        drained = False
        ended.set()

    def begin_stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if on_stop is not None:
            on_stop()
        loop.call_later(drain_seconds, give_up)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_stop)
    if hasattr(app, "__rsgi_init__"):
        app.__rsgi_init__(loop)
    worker = _core.RSGIWorker(
        1,  # worker id
        (None, _core.SocketHolder(sock.fileno(), False, backlog)),
        None,  # ipc
        1,  # runtime threads
        8,  # runtime blocking threads
        1,  # blocking threads
        30,  # their idle seconds
        MAX_CONNECTIONS,
        "1",  # HTTP/1.1
        HTTP1Settings(header_read_timeout=HEADER_MS),
        None,  # HTTP/2
        False,  # websockets
        None,  # static files
        *_tls_arguments(tls),
        (None, None),  # metrics
    )
    # asyncio's tasks, not granian's own: only those can be cancelled when a body does not arrive
    scheduler = _futures._new_cbscheduler(
        loop, _futures._future_watcher_wrapper(app.__rsgi__), impl_asyncio=True
    )
    worker.serve_str(scheduler, loop, stop)
    try:
        loop.run_until_complete(ended.wait())
    finally:
        if hasattr(app, "__rsgi_del__"):
            app.__rsgi_del__(loop)
    return drained


def _tls_arguments(tls: Tls | None) -> tuple[Any, ...]:
    """(enabled, certificate, key, password, lowest protocol, ca, crl, verify clients)."""
    if tls is None:
        return (False, None, None, None, "tls1.2", None, [], False)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"The certificate {tls.certificate} and its key cannot be used: {error.strerror or error}.",
            "Check both files, or let the appliance make new ones.",
        ) from error
    return (True, str(tls.certificate.resolve()), str(tls.key.resolve()), None, "tls1.2", None, [], False)
