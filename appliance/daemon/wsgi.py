"""Run granian's WSGI worker in this process, for the admin page, on sockets that we own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import uvloop
from granian import _futures, _granian, wsgi

from appliance.daemon.listener import Listener, tls_arguments

_THREADS = 8  # a page polls once a second and nothing streams, so few are enough
_MAX_CONNECTIONS = 256


def serve_wsgi(app: Any, listeners: Sequence[Listener], backlog: int) -> None:
    """Serve a WSGI application until SIGTERM or SIGINT; blocks the main thread."""
    native: Any = _granian  # its stub is behind the code; test_rsgi.py watches both servers
    futures: Any = _futures
    ended = threading.Event()
    stops = [native.WorkerSignal() for _ in listeners]
    stops[0].add_cb(ended.set)

    def begin_stop(signum: int, frame: object) -> None:
        for stop in stops:
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, begin_stop)
    loop = uvloop.new_event_loop()
    for listener, stop in zip(listeners, stops, strict=True):
        worker = native.WSGIWorker(
            1,  # worker id
            (None, native.SocketHolder(os.dup(listener.sock.fileno()), False, backlog)),
            None,  # ipc
            1,  # runtime threads
            8,  # runtime blocking threads
            _THREADS,
            30,  # their idle seconds
            _MAX_CONNECTIONS,
            "1",  # HTTP/1.1
            None,
            None,  # HTTP/2
            None,  # static files
            *tls_arguments(listener.tls),
            (None, None),  # metrics
        )
        scheduler = futures._new_cbscheduler(loop, wsgi._callback_wrapper(app, {}, None), impl_asyncio=True)
        worker.serve_mtr(scheduler, loop, stop)
    while not ended.wait(1.0):  # a wait with a time lets Python run the signal handlers
        pass
