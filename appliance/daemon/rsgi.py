"""Answer requests in this process, on listening sockets that we own, until told to stop.

One event loop for all of them. A stop takes no new connections and lets running requests end. A process
that is one of several can also leave (SIGUSR1), so that no caller notices, and share its connections with
the others (SIGUSR2).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from appliance.daemon.listener import FAREWELL, Listener, Station

_LOOK = 0.25  # seconds between two looks for a new certificate


def serve_rsgi(
    app: Any,
    listeners: Sequence[Listener],
    backlog: int,
    *,
    drain_seconds: float = 30.0,
    on_stop: Callable[[], None] | None = None,
    settled: Callable[[], Awaitable[None]] | None = None,
) -> bool:
    """Serve until SIGTERM or SIGINT, then let running requests end; blocks the main thread.

    `app` has __rsgi__ and, if it likes, __rsgi_init__(loop) and __rsgi_del__(loop), which are called once.
    `on_stop` runs on the loop when the signal comes. `settled` returns once every request has been answered
    that had begun before; with it, this process is one of several on these sockets and can leave.
    True when all requests ended within drain_seconds.
    Raises BadInput when a certificate can't be used.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("serve_rsgi handles signals: call it from the main thread")
    for listener in listeners:
        if listener.tls is not None:
            listener.tls.check()  # before any of them answers
        listener.sock.listen(backlog)
        listener.sock.setblocking(False)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    stopped = asyncio.Event()

    def begin_stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if on_stop is not None:
            on_stop()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_stop)
    if hasattr(app, "__rsgi_init__"):
        app.__rsgi_init__(loop)
    stations = [Station(app, listener, backlog, loop) for listener in listeners]
    left: list[asyncio.Task[None]] = []
    if settled is not None:

        def leave() -> None:
            if not left and not stopped.is_set():
                left.append(loop.create_task(_leave(stations, stopped, settled(), drain_seconds)))

        def share() -> None:
            for station in stations:
                station.share()

        loop.add_signal_handler(signal.SIGUSR1, leave)
        loop.add_signal_handler(signal.SIGUSR2, share)
    try:
        return loop.run_until_complete(_serve(stations, stopped, drain_seconds))
    finally:
        if hasattr(app, "__rsgi_del__"):
            app.__rsgi_del__(loop)


async def _serve(stations: list[Station], stopped: asyncio.Event, drain_seconds: float) -> bool:
    for station in stations:
        station.open()
    following = asyncio.create_task(_follow(stations))
    await stopped.wait()
    following.cancel()
    for station in stations:
        station.close()
    try:
        async with asyncio.timeout(drain_seconds):
            for station in stations:
                await station.wait()
    except TimeoutError:
        return False
    return True


async def _leave(
    stations: list[Station], stopped: asyncio.Event, settled: Awaitable[None], drain_seconds: float
) -> None:
    """Send everybody to the other processes, and stop when whoever is left has long said nothing.

    A request that had begun before is answered without that word; its caller must get it with the next.
    """
    for station in stations:
        station.leave()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(settled, drain_seconds)
    await asyncio.sleep(FAREWELL)
    stopped.set()


async def _follow(stations: list[Station]) -> None:
    """Have every station look for a new certificate, for as long as they serve."""
    while True:
        await asyncio.sleep(_LOOK)
        for station in stations:
            station.look()
