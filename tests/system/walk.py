"""Who may go where: every address and verb, called as every kind of caller, by outcome.

`python -m tests.system.walk` starts an appliance, walks it and writes permissions.golden anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from appliance import config
from appliance.app import open_app
from appliance.cli.client import Client
from appliance.daemon.management import management
from appliance.doors import access
from appliance.framing import socket_path
from appliance.security.roles import PERMISSIONS
from tests.system.appliance import Appliance
from tests.unit.docs.test_pages import TEMPLATES

GOLDEN = Path(__file__).parent / "permissions.golden"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("viewer", "operator", "approver", "admin")
PROGRAMS = ("viewer", "operator", "approver")
SHUT = (
    "predictions",
    "expired",
    "revoked",
    "over",
    "nobody",
)  # callers who are known no more, or to the endpoint only
CALLERS = (*ROLES, "one-time", *(f"token:{role}" for role in PROGRAMS), *SHUT)
ENDPOINT = (
    "every model",
    "this model",
    "another model",
    "token:viewer",
    "expired",
    "revoked",
    "session",
    "nobody",
)
NOWHERE = "nothere"
ENDS_ITSELF = {("POST", "/sign-out"), ("DELETE", "/api/v1/session")}
HARMLESS = {"POST /api/v1/setup", "POST /setup"}


@dataclass(frozen=True)
class Row:
    """One address or verb and what becomes of each caller there."""

    what: str
    need: str
    outcomes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what:42} {self.need:20}" + "".join(f" {one:>8}" for one in self.outcomes)


def outcome(status: int, location: str = "") -> str:
    """allowed is whatever is neither refused nor sent to sign in: also 404 or 400 for what isn't there."""
    if status in (401, 403):
        return str(status)
    return "sign-in" if location.startswith("/sign-in?next=") else "allowed"


def routes(home: Path) -> list[tuple[str, str, str]]:
    """(method, rule, need) of every address of the admin port, from the site's own map."""
    site = management(open_app(home))
    found = []
    for rule in site.url_map.iter_rules():
        need = access.need_of(site.view_functions[rule.endpoint]) or "nothing"
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found += [(method, rule.rule, need) for method in methods]
    return sorted(found, key=lambda one: (one[1].startswith("/api"), one[1], one[0]))


def address(rule: str) -> str:
    return re.sub("<[^>]*>", NOWHERE, rule)


class Callers:
    """Everybody who calls: headers and cookies, made on a real appliance that is set up."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        appliance.set_up("admin").close()
        for role in ROLES[:-1]:
            appliance.add_user(role, role).close()
        self._one_time = appliance.json("user", "add", "one-time", "--role", "admin")["password"]
        self._open: dict[str, httpx.Client] = {}
        create = Client(appliance.home).call
        tokens = {f"token:{role}": create("token.create", role=role) for role in PROGRAMS}
        tokens |= {"predictions": create("token.create", models=["*"])}
        tokens |= {"expired": create("token.create", models=["*"], role="operator", expires="1s")}
        tokens |= {"revoked": create("token.create", models=["*"], role="operator")}
        create("token.revoke", id=tokens["revoked"]["id"])
        self.tokens = {name: made["token"] for name, made in tokens.items()}

    def new(self, name: str) -> httpx.Client:
        """A browser or program of its own."""
        if name in self.tokens:
            client = self.appliance.browser()
            client.headers["Authorization"] = f"Bearer {self.tokens[name]}"
            return client
        if name == "nobody":
            return self.appliance.browser()
        if name == "over":
            client = self.appliance.sign_in("viewer")
            kept = dict(client.cookies)
            assert client.delete("/api/v1/session").status_code == 200
            client.cookies.update(kept)
            return client
        return self.appliance.sign_in(name, self._one_time if name == "one-time" else None)

    def request(self, name: str, method: str, path: str) -> httpx.Response:
        """As a browser asks for a page, and a program or a script for the API."""
        alone = (method, path) in ENDS_ITSELF
        if name not in self._open and not alone:
            self._open[name] = self.new(name)
        client = self.new(name) if alone else self._open[name]
        kind = "application/json" if path.startswith("/api/") else "text/html"
        body = "{}" if path.startswith("/api/") and method not in ("GET", "HEAD") else None
        content = {"content": body, "headers": {"Accept": kind, "Content-Type": "application/json"}}
        if body is None:
            content = {"headers": {"Accept": kind}}
        return client.request(method, path, **content)  # type: ignore[arg-type]

    def close(self) -> None:
        for client in self._open.values():
            client.close()


def pages(callers: Callers) -> Iterator[Row]:
    """The admin port. A form of somebody who is nobody carries no token: 403 then, whoever calls."""
    for method, rule, need in routes(callers.appliance.home):
        seen = []
        for name in CALLERS:
            reply = callers.request(name, method, address(rule))
            assert reply.status_code != 500, f"{method} {rule} as {name}: {reply.text}"
            seen.append(outcome(reply.status_code, reply.headers.get("location", "")))
        yield Row(f"{method} {rule}", need, tuple(seen))


def verbs(appliance: Appliance, call_as: Callable[[int, str], str]) -> Iterator[Row]:
    """The local socket: what its owner and another account may ask for."""
    for verb in sorted(PERMISSIONS):
        yield Row(f"socket {verb}", verb, (call_as(0, verb), call_as(65534, verb)))


def endpoint(callers: Callers, model: str) -> Iterator[Row]:
    """The inference endpoint, where a model is asked for and where none is."""
    create = Client(callers.appliance.home).call
    tokens = callers.tokens | {
        "every model": callers.tokens["predictions"],
        "this model": create("token.create", models=[model])["token"],
        "another model": create("token.create", models=["other"])["token"],
    }
    cookies = dict(callers.new("viewer").cookies)
    for door, paths in TEMPLATES.items():
        for path in paths:
            method = "POST" if path.endswith("/infer") or path.startswith("/predict") else "GET"
            seen = []
            for name in ENDPOINT:
                headers = {"Authorization": f"Bearer {tokens[name]}"} if name in tokens else {}
                with httpx.Client(cookies=cookies if name == "session" else None, timeout=30) as client:
                    url = f"http://127.0.0.1:{callers.appliance.port}{path.replace('MODEL', model)}"
                    reply = client.request(
                        method, url, headers=headers, content=b"{}" if method == "POST" else None
                    )
                assert reply.status_code < 500, f"{method} {path} as {name}: {reply.text}"
                seen.append(outcome(reply.status_code))
            yield Row(f"endpoint {method} {path}", door.name.lower(), tuple(seen))


def socket_outcome(home: Path, uid: int, verb: str) -> str:
    """A call of a verb with harmless arguments from a process of that account, which may only reach the socket."""
    door = socket_path(config.load(home).run_dir)
    harmless = {
        key: NOWHERE for key in ("name", "dataset", "model", "user", "job", "id", "session", "target")
    }
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", CALL, str(door), verb, json.dumps(harmless)], user=uid, group=uid,
        extra_groups=[], cwd="/", capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    reply = json.loads(done.stdout)
    return "403" if reply.get("kind") == "Forbidden" else "allowed"


CALL = """
import json, socket, struct, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
body = json.dumps({"verb": sys.argv[2], "args": json.loads(sys.argv[3])}).encode()
connection.sendall(struct.pack(">I", len(body)) + body)
reply = b""
while part := connection.recv(65536):
    reply += part
print(reply[4:].decode())
"""


def table(sections: dict[str, tuple[tuple[str, ...], list[Row]]]) -> str:
    """The golden file."""
    lines = [
        "# Who may go where. Made by `python -m tests.system.walk`; tests/system/test_permissions.py walks it anew.",
        "# allowed: neither refused nor sent to sign in (also when what was asked for isn't there).",
    ]
    for title, (columns, rows) in sections.items():
        heading = f"{title:42} {'needs':20}" + "".join(f" {one:>8}" for one in columns)
        lines += ["", heading, *(str(row) for row in rows)]
    return "\n".join(line.rstrip() for line in lines) + "\n"
