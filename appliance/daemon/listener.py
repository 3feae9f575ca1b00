"""One listening socket of ours, answered by granian's worker in this process, with or without TLS.

granian alone binds with SO_REUSEPORT, and two servers then share a port silently; so we bind, and hand it
the descriptor. That, and a worker without granian's own process supervisor, needs names that granian does
not document: granian is pinned, and tests/unit/inference/test_rsgi.py watches that they exist and work.

A certificate that is replaced on the disk is taken up without a dropped request: a second worker with the
new one joins on the same socket, and the first leaves. A process leaves in the same way when there is less
to do. A leaving worker gets no new connections, and each of its answers closes the connection that it goes
to, so that no client is just then sending its next request when the worker ends.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.http import HTTP1Settings

from appliance.daemon.sockets import needs_tls
from appliance.errors import BadInput
from appliance.home import Home
from appliance.security import certificates

log = logging.getLogger(__name__)

# granian's private half; its type stubs are behind its code, hence Any
_core: Any = importlib.import_module("granian._granian")
_futures: Any = importlib.import_module("granian._futures")

MAX_CONNECTIONS = 4096  # open requests the server hands over at once; our own limit answers 429 long before
HEADER_MS = 10_000  # a connection that has not sent its headers by then is closed
FAREWELL = 3.0  # seconds in which clients of a leaving worker are sent to another one
_SHARING = 2.0  # seconds in which every second connection is


@dataclass(frozen=True)
class Tls:
    """Certificate chain and key, in one PEM file or two; TLS 1.2 or later, clients need no certificate.

    `taken` is called whenever the files, as they are at that moment, have come into use.
    """

    certificate: Path
    key: Path
    taken: Callable[[], None] = lambda: None

    def stamp(self) -> tuple[int, ...]:
        """Changes whenever one of the files is replaced. Raises OSError while one is missing."""
        found = [path.stat() for path in (self.certificate, self.key)]
        return tuple(part for one in found for part in (one.st_ino, one.st_mtime_ns, one.st_size))

    def check(self) -> None:
        """Raises BadInput when the files can't be used together."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise BadInput(
                f"The certificate {self.certificate} and its key cannot be used: {error.strerror or error}.",
                "Check both files, or let the appliance make new ones.",
            ) from error


@dataclass(frozen=True)
class Listener:
    """A bound socket, which stays open, and what it needs to speak TLS."""

    sock: socket.socket
    tls: Tls | None = None


def listeners(home: Home, made: Sequence[socket.socket]) -> list[Listener]:
    """Each socket with what it speaks: plain HTTP on a loopback address or a path, else TLS."""
    if not any(map(needs_tls, made)):
        return [Listener(sock) for sock in made]
    path = certificates.shown_path(home)
    tls = Tls(path, path, taken=lambda: certificates.say_shown(home))
    return [Listener(sock, tls if needs_tls(sock) else None) for sock in made]


class Station:
    """A listener while it is served. Its methods are called on the loop."""

    def __init__(self, app: Any, listener: Listener, backlog: int, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._listener = listener
        self._backlog = backlog
        self._loop = loop
        self._workers: list[_Worker] = []
        self._stamp: tuple[int, ...] = ()
        self._leaving = False
        self._ended = asyncio.Event()

    def open(self) -> None:
        """Begin to answer. Raises BadInput when the certificate can't be used."""
        tls = self._listener.tls
        if tls is not None:
            self._stamp = tls.stamp()
            tls.check()
        self._workers.append(_Worker(self._app, self._listener, self._backlog, self._loop, self._gone))
        if tls is not None:
            tls.taken()

    def look(self) -> None:
        """Take up a certificate that has been replaced; one that can't be used changes nothing."""
        tls = self._listener.tls
        try:
            if tls is None or self._leaving or tls.stamp() == self._stamp:
                return
            self.open()
        except OSError:
            return  # somebody is just replacing it, or the appliance stops
        except BadInput as error:
            log.warning("%s The one before stays.", error.message)
            return
        except Exception:
            log.exception("a new certificate could not be taken up; the one before stays")
            return
        for worker in self._workers[:-1]:
            worker.leave()
            self._loop.call_later(FAREWELL, worker.stop)

    def leave(self) -> None:
        """Take no more connections; whoever has one is told with the next answer to make a new one."""
        self._leaving = True
        for worker in self._workers:
            worker.leave()

    def share(self) -> None:
        """Have half of the connections come anew: to whichever process is idle then."""
        for worker in self._workers:
            worker.share()

    def close(self) -> None:
        """Take no more connections; running requests go on."""
        for worker in self._workers:
            worker.stop()

    async def wait(self) -> None:
        """Until all requests have ended, after `close`."""
        await self._ended.wait()

    def _gone(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if not self._workers:
            self._ended.set()


class _Worker:
    """granian's worker on one socket, from its start to its end."""

    def __init__(
        self,
        app: Any,
        listener: Listener,
        backlog: int,
        loop: asyncio.AbstractEventLoop,
        gone: Callable[[_Worker], None],
    ) -> None:
        self._leaving = self._stopped = False
        local = listener.sock.family == socket.AF_UNIX
        self._descriptor = os.dup(listener.sock.fileno())  # granian closes it in the end
        self._is_last: Callable[[Any], bool] | None = None  # whether a request is its connection's last one
        self._app = app
        self._loop = loop
        self._stop = _core.WorkerSignal()
        self._stop.add_cb(lambda: loop.call_soon_threadsafe(gone, self))
        worker = _core.RSGIWorker(
            1,  # worker id
            (None, _core.SocketHolder(self._descriptor, local, backlog)),
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
            *tls_arguments(listener.tls),
            (None, None),  # metrics
        )
        # asyncio's tasks, not granian's own: only those can be cancelled when a body does not arrive
        scheduler = _futures._new_cbscheduler(
            loop, _futures._future_watcher_wrapper(self._answer), impl_asyncio=True
        )
        serve = worker.serve_str_uds if local else worker.serve_str
        serve(scheduler, loop, self._stop)

    def leave(self) -> None:
        """Get no new connections, and let go of the others as they are answered; again does nothing.

        granian can only stop as a whole, so its socket is exchanged for one on which nobody ever calls.
        """
        if self._leaving or self._stopped:
            return
        self._leaving = True
        self._is_last = lambda scope: True
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind("")  # a name of the kernel's choice, in no folder
            nobody.listen(1)
            nobody.setblocking(False)
            os.dup2(nobody.fileno(), self._descriptor, inheritable=False)

    def stop(self) -> None:
        """Take no more connections, end when the running requests have; again does nothing."""
        if not self._stopped:
            self._stopped = True
            self._stop.set()

    def share(self) -> None:
        """Let go of every second connection as it is answered; one that is made anew has the same chance.

        Callers on a Unix socket have no address, and keep theirs: they are our own, and come one by one.
        """
        if not self._leaving:
            self._is_last = lambda scope: bool(hash(scope.client) & 1)
            self._loop.call_later(_SHARING, self._keep)

    def _keep(self) -> None:
        if not self._leaving:
            self._is_last = None

    def _answer(self, scope: Any, protocol: Any) -> Any:
        """What is awaited to answer a request; no coroutine of its own, for every request comes this way."""
        if self._is_last is not None and self._is_last(scope):
            protocol = _Last(protocol)
        return self._app.__rsgi__(scope, protocol)


class _Last:
    """The protocol of a request whose answer is the last one on its connection."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._protocol, name)
        if not name.startswith("response_"):
            return found
        return lambda status, headers, *rest: found(status, [*headers, ("connection", "close")], *rest)

    def __call__(self) -> Any:
        return self._protocol()

    def __aiter__(self) -> Any:
        return aiter(self._protocol)


def tls_arguments(tls: Tls | None) -> tuple[Any, ...]:
    """(enabled, certificate, key, password, lowest protocol, ca, crl, verify clients)."""
    if tls is None:
        return (False, None, None, None, "tls1.2", None, [], False)
    return (True, str(tls.certificate.resolve()), str(tls.key.resolve()), None, "tls1.2", None, [], False)
