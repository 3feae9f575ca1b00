"""A site behind the front in a process of its own: python front_server.py HOME, prints its port.

`--echo` serves a small application that tells what it was given, instead of the real site.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from appliance import home
from appliance.app import open_app
from appliance.daemon import front
from appliance.daemon.listener import Listener
from appliance.daemon.management import management
from appliance.daemon.rsgi import serve_rsgi
from appliance.doors.site import LARGEST_BODY


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """What came in, as JSON; the body only by its length and digest, read in pieces."""
    digest, size = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
        size += len(piece)
    told = {key: value for key, value in environ.items() if isinstance(value, str)}
    told["path"] = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    body = json.dumps(told | {"size": size, "sha256": digest.hexdigest()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def main() -> None:
    for name, value in json.loads(sys.argv[2]).items():
        setattr(front, name, value)
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    if "--echo" in sys.argv:
        served = front.Front(echo, lambda method, path: path == "/upload", 1 << 20)
    else:
        home.create(Path(sys.argv[1]))
        site = management(open_app(Path(sys.argv[1])))
        served = front.Front(site.wsgi_app, site.takes_upload, LARGEST_BODY)
    print(sock.getsockname()[1], flush=True)
    serve_rsgi(served, [Listener(sock)], 1024, drain_seconds=2.0)


if __name__ == "__main__":
    main()
