"""Asking a deployed model, through the endpoint that applications use."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

from appliance.app import App
from appliance.db import Row
from appliance.errors import FalajError, Unavailable, rebuild_from_status
from appliance.framing import endpoint_path
from appliance.registry.names import parse_reference
from appliance.security.local_token import local_token
from appliance.verbs.call import Call

_TIMEOUT = 60.0
_PAUSES = (0.1, 0.4, 1.0)  # seconds before it is asked again


def predict(app: App, call: Call) -> Row:
    """Predictions of a deployed model for `rows`, a list of objects by column name."""
    name, _ = parse_reference(call.text("model"), "model")
    return ask(app, name, json.dumps({"rows": call.args.get("rows")}).encode())


def ask(app: App, model: str, body: bytes) -> Row:
    """POST to this appliance's own endpoint. Raises what the endpoint answered."""
    try:
        status, content = asked(app.home.run_dir, f"/predict/{model}", body)
    except (OSError, http.client.HTTPException) as error:
        said = f"The endpoint does not answer: {error or type(error).__name__}."
        raise Unavailable(said, "See: falaj status") from error
    except ValueError as error:
        raise FalajError("The endpoint gave an answer that is not JSON.", "See: falaj doctor") from error
    if status != 200:
        raise rebuild_from_status(content, status)
    answer: Row = content
    return answer


def asked(run_dir: Path, path: str, body: bytes) -> tuple[int, Any]:
    """Status and content; asked again when a worker dies over it, for another answers, or soon does."""
    for pause in _PAUSES:
        with contextlib.suppress(ConnectionError):
            return _post(run_dir, path, body)
        time.sleep(pause)
    return _post(run_dir, path, body)


def _post(run_dir: Path, path: str, body: bytes) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {local_token(run_dir)}"}
    with contextlib.closing(_Local(endpoint_path(run_dir))) as connection:
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


class _Local(http.client.HTTPConnection):
    """HTTP over a Unix socket: this role may see no network."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))
