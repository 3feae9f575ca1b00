"""Asking the endpoint over its Unix socket while its workers come and go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.daemon.sockets import listen_at
from appliance.framing import endpoint_path
from appliance.security.local_token import make_local_token
from appliance.verbs import predictions

BODY = b'{"model": "price"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
DIED = b""


@contextmanager
def endpoint(run_dir: Path, *replies: bytes) -> Iterator[list[bytes]]:
    """What was asked; each connection is answered with one of these, in turn, and closed."""
    make_local_token(run_dir)
    asked: list[bytes] = []

    def serve() -> None:
        for reply in replies:
            connection, _ = server.accept()
            with connection:
                told = b""
                while not told.endswith(b"{}"):
                    told += connection.recv(65536)
                asked.append(told)
                connection.sendall(reply)

    with listen_at(endpoint_path(run_dir)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield asked


def test_a_worker_that_dies_over_it_is_not_seen(tmp_path: Path) -> None:
    with endpoint(tmp_path, DIED, DIED, ANSWER) as asked:
        assert predictions.asked(tmp_path, "/predict/price", b"{}") == (200, json.loads(BODY))
    assert len(asked) == 3


def test_in_the_end_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "_PAUSES", (0.01, 0.01))
    with endpoint(tmp_path, DIED, DIED, DIED, ANSWER) as asked, pytest.raises(ConnectionError):
        predictions.asked(tmp_path, "/predict/price", b"{}")
    assert len(asked) == 3
