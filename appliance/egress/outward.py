"""One request to a host outside: read from what a caller asks, and done within one deadline.

The name is looked up here and once, and exactly an address that was judged is connected to. Redirects are not
followed, no proxy is used, and the certificate of the host is checked against the system's authorities.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from appliance import addresses
from appliance.egress.rules import HTTPS, inside, is_address, plain_host, shown
from appliance.errors import BadInput, DeadlineExceeded, Forbidden, TooLarge, Unavailable

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MOST_BODY = 16 << 20
LARGE = 1 << 20  # bytes of a body from which on only a few are held at once
LONGEST_WAIT = 300.0
_OURS = ("host", "connection", "content-length", "transfer-encoding", "proxy-authorization")
_PIECE = 64 << 10
_lookups = threading.BoundedSemaphore(64)  # one that hangs lives on after its caller has gone


class Until:
    """A deadline."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, more than none. Raises TimeoutError."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(frozen=True)
class Asked:
    """A request as it is going to be sent; `host` in its plain form, `target` the path and the query."""

    method: str
    secure: bool
    host: str
    port: int
    target: str
    headers: dict[str, str]
    body: bytes | None
    deadline: float


@dataclass
class Traffic:
    """Bytes that went out and came in, inside TLS."""

    out: int = 0
    come: int = 0


def read(ask: dict[str, Any]) -> Asked:
    """What a caller asks. Raises BadInput."""
    method, headers, deadline = ask.get("method", "GET"), ask.get("headers") or {}, ask.get("deadline", 30.0)
    if method not in METHODS:
        raise BadInput("That is no method for a call out.", f"Use one of {', '.join(METHODS)}.")
    if not isinstance(headers, dict) or not all(
        isinstance(one, str) for pair in headers.items() for one in pair
    ):
        raise BadInput("The headers must be names with texts.", 'For example: {"Accept": "text/csv"}')
    if ours := [name for name in headers if name.strip().lower() in _OURS]:
        raise BadInput(
            f"The header {ours[0][:40]!r} can't be chosen.", "Leave it out: it follows from the URL."
        )
    if (
        isinstance(deadline, bool)
        or not isinstance(deadline, int | float)
        or not 0 < deadline <= LONGEST_WAIT
    ):
        raise BadInput("The deadline is no number of seconds.", f"It may be up to {LONGEST_WAIT:g}.")
    secure, host, port, target = _url(ask.get("url"))
    return Asked(method, secure, host, port, target, headers, _body(ask.get("body")), float(deadline))


def place(url: object) -> tuple[str, int]:
    """The host and the port of a URL. Raises BadInput."""
    return _url(url)[1:3]


def _url(url: object) -> tuple[bool, str, int, str]:
    example = "For example: https://api.example.com/prices?day=monday"
    if not isinstance(url, str) or len(url) > 8192 or not all(" " < letter < "\x7f" for letter in url):
        raise BadInput("That is no URL.", f"Spaces and other letters are written as %20. {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput("That is no URL.", example) from error
    host = plain_host(parts.hostname or "")
    if parts.scheme not in ("http", "https") or not (addresses.is_name(host) or is_address(host)):
        raise BadInput("That is no URL of a web address.", example)
    if "@" in parts.netloc:
        raise BadInput("A URL must not hold a name and a password.", "Send them in a header.")
    secure = parts.scheme == "https"
    port = (HTTPS if secure else 80) if port is None else port
    if port == 0 or (port == HTTPS and not secure):
        raise BadInput(f"Port {port} does not speak plain HTTP.", "Begin the URL with https://")
    return secure, host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _body(text: object) -> bytes | None:
    if text is None:
        return None
    try:
        body = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        body = None
    if body is None:
        raise BadInput("The body of the call must be written in base64.", "Encode it, or leave it out.")
    if len(body) > MOST_BODY:
        raise TooLarge(f"More than {MOST_BODY >> 20} MiB can't be sent at once.", "Send less.")
    return body


def send(
    asked: Asked,
    until: Until,
    own: Collection[str],
    trust: Callable[[], ssl.SSLContext],
    large: Callable[[], None],
    traffic: Traffic,
) -> dict[str, Any]:
    """The answer of the host: `status`, `headers`, `body` (base64).

    `own` are this machine's addresses, `large` is called before much is held. Raises Forbidden where the name
    leads inside, Unavailable, DeadlineExceeded, TooLarge.
    """
    named = shown(asked.host, asked.port)
    try:
        with _connect(asked, until, own, trust) as connected:
            return _exchange(asked, _Line(connected, until, traffic), large)
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"{named} did not answer in {asked.deadline:g} seconds.", "Try again, or wait longer."
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"{named} shows a certificate that is not trusted: {error.verify_message}.",
            "If it is right, add its authority to this machine: update-ca-certificates(8).",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        told = error.strerror if isinstance(error, OSError) else None
        why = told or f"it does not speak HTTP ({type(error).__name__})"
        raise Unavailable(f"{named} could not be asked: {why}.", "Look whether it is up.") from error
    except ValueError as error:  # http.client judges names and texts of headers
        raise BadInput("A header can't be sent as it is.", "Leave line ends out of it.") from error


def _connect(
    asked: Asked, until: Until, own: Collection[str], trust: Callable[[], ssl.SSLContext]
) -> socket.socket:
    found = _addresses(asked, until, own)
    for number, address in enumerate(found):
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.settimeout(until.left() / (len(found) - number))  # the next one gets its share of the time
            made.connect((address, asked.port))
            made.settimeout(until.left())
            return trust().wrap_socket(made, server_hostname=asked.host) if asked.secure else made
        except ssl.SSLError:
            made.close()
            raise
        except OSError:
            made.close()
            if number == len(found) - 1:
                raise
    raise AssertionError("there is at least one address")


def _addresses(asked: Asked, until: Until, own: Collection[str]) -> list[str]:
    """Where to connect: the address as it is written down, else what the name leads to outside."""
    if is_address(asked.host) is not None:
        return [asked.host]
    found = _look_up(asked.host, asked.port, until)
    outside = [one for one in found if not inside(one, own)]
    if not outside:
        where = shown(found[0], asked.port)
        raise Forbidden(
            f"{asked.host} leads to {found[0]}, {inside(found[0], own)}: a name may not lead there.",
            f"If it should be called, allow the address itself: falaj egress allow {where}",
        )
    return outside


def _look_up(host: str, port: int, until: Until) -> list[str]:
    """The addresses of a name, each once. The system's resolver knows no deadline: a thread waits for it."""
    told: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            told.put(list(dict.fromkeys(str(one[4][0]) for one in found)))
        except (OSError, UnicodeError) as error:
            told.put(error if isinstance(error, OSError) else OSError(0, "no such name"))
        finally:
            _lookups.release()

    if not _lookups.acquire(timeout=until.left()):
        raise TimeoutError
    threading.Thread(target=ask, name="falaj-lookup", daemon=True).start()
    try:
        found = told.get(timeout=until.left())
    except queue.Empty as error:
        raise TimeoutError from error
    if isinstance(found, OSError):
        raise found
    return found


def _exchange(asked: Asked, line: _Line, large: Callable[[], None]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(asked.host, asked.port)
    if asked.secure:
        connection.default_port = HTTPS
    connection.sock = line
    connection.request(asked.method, asked.target, asked.body, asked.headers | {"Connection": "close"})
    reply = connection.getresponse()
    content, bigger = bytearray(), False
    while piece := reply.read(_PIECE):
        content += piece
        if len(content) > MOST_BODY:
            raise TooLarge(
                f"{shown(asked.host, asked.port)} answers with more than {MOST_BODY >> 20} MiB.",
                "Ask for less.",
            )
        if len(content) > LARGE and not bigger:
            bigger = True
            large()
    body = base64.b64encode(content).decode()
    return {"status": reply.status, "headers": [list(pair) for pair in reply.getheaders()], "body": body}


class _Line:
    """A connection for http.client: every step of it has what is left of the whole deadline."""

    def __init__(self, sock: socket.socket, until: Until, traffic: Traffic) -> None:
        self._sock = sock
        self._until = until
        self._traffic = traffic

    def sendall(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            self._sock.settimeout(self._until.left())
            sent = self._sock.send(view[:_PIECE])
            self._traffic.out += sent
            view = view[sent:]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._sock, self._until, self._traffic))

    def close(self) -> None:
        """Nothing: http.client closes its end while the answer is still to be read."""


class _Incoming(io.RawIOBase):
    def __init__(self, sock: socket.socket, until: Until, traffic: Traffic) -> None:
        self._sock = sock
        self._until = until
        self._traffic = traffic

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._until.left())
        count = self._sock.recv_into(buffer)
        self._traffic.come += count
        return count
