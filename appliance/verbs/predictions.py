"""Asking a deployed model, through the endpoint that applications use."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from appliance.app import App
from appliance.db import Row
from appliance.errors import FalajError, Unavailable, rebuild_from_status
from appliance.framing import endpoint_path
from appliance.registry.names import parse_reference
from appliance.security.local_token import local_token
from appliance.verbs.call import Call

_TIMEOUT = 60.0


def predict(app: App, call: Call) -> Row:
    """Predictions of a deployed model for `rows`, a list of objects by column name."""
    name, _ = parse_reference(call.text("model"), "model")
    return ask(app, name, json.dumps({"rows": call.args.get("rows")}).encode())


def ask(app: App, model: str, body: bytes) -> Row:
    """POST to this appliance's own endpoint. Raises what the endpoint answered."""
    connection = _Local(endpoint_path(app.home.run_dir))
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {local_token(app.home.run_dir)}",
    }
    try:
        connection.request("POST", f"/predict/{model}", body, headers)
        reply = connection.getresponse()
        content = json.loads(reply.read())
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("The endpoint does not answer.", "See: falaj status") from error
    except ValueError as error:
        raise FalajError("The endpoint gave an answer that is not JSON.", "See: falaj doctor") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise rebuild_from_status(content, reply.status)
    answer: Row = content
    return answer


class _Local(http.client.HTTPConnection):
    """HTTP over a Unix socket: this role may see no network."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))
