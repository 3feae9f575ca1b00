"""The management site over a real home, served on a real port; and browsers and programs that call it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from werkzeug.serving import WSGIRequestHandler, make_server

from appliance import home
from appliance.app import App, open_app
from appliance.daemon.management import management
from appliance.doors.site import Site
from appliance.registry import users
from appliance.security import passwords, tokens
from appliance.security import sessions as signing_in
from appliance.security.roles import FOR_PEOPLE, FOR_TOKENS

PASSWORD = "correct horse battery"
_HASH = passwords.hash_password(PASSWORD)  # one for all: a quarter of a second each


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *given: Any) -> None:
        pass


@dataclass
class Served:
    """One site: `url` is where it is, `app` what it is over."""

    app: App
    site: Site
    port: int
    users: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        return f"falaj-{self.port}"

    def add_user(self, name: str, role: str, must_change: bool = False) -> None:
        with self.app.home.registry.write() as tx:
            users.add(tx, name, role, _HASH, must_change, by="test")

    def add_all_roles(self) -> None:
        """A user of each role, named like it."""
        for role in reversed(FOR_PEOPLE):  # an admin first
            self.add_user(role.value, role.value)

    def secret(self, name: str) -> str:
        """A new session of a user: the secret of its cookie."""
        with self.app.home.registry.write() as tx:
            user = users.find(tx, name)
            return signing_in.begin(tx, user, "127.0.0.1", "test", self.app.home.config.admin)[0]

    def browser(self, name: str, **headers: str) -> httpx.Client:
        """A signed-in browser that sends its session's token with every request."""
        secret = self.secret(name)
        given = {"X-CSRF-Token": signing_in.csrf_token(secret)} | headers
        return httpx.Client(base_url=self.url, cookies={self.cookie: secret}, headers=given, timeout=30)

    def program(self, role: str | None, models: list[str] | None = None) -> httpx.Client:
        with self.app.home.registry.write() as tx:
            text, _ = tokens.create(tx, models or [], None, "test", "test", role)
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {text}"}, timeout=30)

    @cached_property
    def nobody(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """A new home with a site on a free port of this machine."""
    home.create(folder)
    app = open_app(folder)
    site = management(app)
    server = make_server("127.0.0.1", 0, site, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Served(app, site, server.port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


__all__ = ["FOR_TOKENS", "PASSWORD", "Served", "serve"]
