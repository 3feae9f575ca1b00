"""Asking the endpoint as any program would: one row a request, kept-alive connections, a token."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

from appliance.cli.demo_examples import Example, Rows
from appliance.cli.edge import Edge
from appliance.security.trust import trusting

_CONNECTIONS = 4
_PAUSE = 0.005  # seconds between two requests of a stream, as callers have

_Pair = tuple[dict[str, Any], Any]  # a row, and the true answer where it is known


@dataclass
class Asked:
    """What became of some requests. `right` counts the answers that were the true ones."""

    sent: int = 0
    failed: int = 0
    right: int = 0

    @property
    def share_right(self) -> float:
        return self.right / max(1, self.sent - self.failed)


class Caller:
    """Asks one model over a few connections at once."""

    def __init__(self, edge: Edge, model: str, token: str) -> None:
        self.asked = Asked()
        self._connect = _door(edge)
        self._path = f"/predict/{model}"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._lock = threading.Lock()

    def ask(self, example: Example, count: int) -> Asked:
        """Ask about so many rows of an example, in no order, as customers come."""
        pairs: list[_Pair] = list(zip(example.rows, example.answers, strict=True))
        random.Random(0).shuffle(pairs)
        wanted = list(islice(cycle(pairs), count))
        threads = [_started(self._work, wanted[i::_CONNECTIONS]) for i in range(_CONNECTIONS)]
        for thread in threads:
            thread.join()
        return self.asked

    @contextmanager
    def stream(self, rows: Rows) -> Iterator[None]:
        """Ask about these rows again and again, for as long as the block runs."""
        stop = threading.Event()

        def endless(part: Rows) -> Iterator[_Pair]:
            for row in cycle(part):
                if stop.wait(_PAUSE):
                    return
                yield row, None

        threads = [_started(self._work, endless(rows[i:] + rows[:i])) for i in range(_CONNECTIONS)]
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _work(self, pairs: Iterable[_Pair]) -> None:
        """Ask about these one after the other, over one connection."""
        connection, asked = self._connect(), Asked()
        for row, answer in pairs:
            asked.sent += 1
            try:
                connection.request("POST", self._path, json.dumps({"rows": [row]}), self._headers)
                reply = connection.getresponse()
                body = json.loads(reply.read())
                asked.failed += reply.status != 200
                asked.right += reply.status == 200 and body["predictions"][0]["label"] == str(answer)
            except (OSError, http.client.HTTPException, ValueError):
                asked.failed += 1
                connection.close()
        connection.close()
        with self._lock:
            self.asked.sent += asked.sent
            self.asked.failed += asked.failed
            self.asked.right += asked.right


def _started(work: Callable[[Iterable[_Pair]], None], pairs: Iterable[_Pair]) -> threading.Thread:
    thread = threading.Thread(target=work, args=(pairs,), daemon=True)
    thread.start()
    return thread


def _door(edge: Edge) -> Callable[[], http.client.HTTPConnection]:
    """How to connect to the endpoint: by TLS only where it speaks nothing else on this machine."""
    address = urlsplit(edge.call("status")["roles"]["inference"]["address"])
    if address.scheme == "http":
        return lambda: http.client.HTTPConnection(address.netloc, timeout=30)
    context = trusting(edge.call("certificate.show")["trust"])
    return lambda: http.client.HTTPSConnection(address.netloc, timeout=30, context=context)
