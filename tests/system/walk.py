"""Who may go where: every address and verb of a real appliance, asked by every kind of caller.

`python -m tests.system.walk` (as root) walks one and writes permissions.golden anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from appliance import config
from appliance.app import open_app
from appliance.cli.client import Client
from appliance.daemon.management import management
from appliance.doors import access
from appliance.framing import socket_path
from appliance.inference.routes import VERBS as METHODS_OF
from appliance.security import tokens as minting
from appliance.security.roles import FOR_TOKENS, PERMISSIONS
from tests.system.appliance import PASSWORD, Appliance
from tests.system.processes import until
from tests.system.test_local_socket import CALL, NOBODY
from tests.unit.docs.test_pages import TEMPLATES

GOLDEN = Path(__file__).parent / "permissions.golden"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ROLES = ("viewer", "operator", "approver", "admin")
PROGRAMS = tuple(f"token:{role.value}" for role in FOR_TOKENS)
SHUT = ("predictions", "expired", "revoked", "over", "nobody")
CALLERS = (*ROLES, "one-time", *PROGRAMS, *SHUT)
ENDPOINT = ("predictions", "this-model", "other-model", *PROGRAMS, "expired", "revoked", "session", "nobody")
ACCOUNTS = ("owner", "another")
NOWHERE = "nothere"
_ALONE = {("POST", "/sign-out"), ("DELETE", "/api/v1/session"), ("POST", "/sign-in")}  # sessions of their own


@dataclass(frozen=True)
class Row:
    """One address or verb, what it needs, and what becomes of each caller there."""

    what: str
    need: str
    outcomes: dict[str, str]


def outcome(status: int, location: str = "") -> str:
    """`allowed` is whatever is neither refused nor sent away: also 404 or 400 for what isn't there."""
    if location.startswith("/sign-in?next="):
        return "sign-in"
    return {401: "401", 403: "403", 405: "405"}.get(status, "allowed")


def routes(home: Path) -> list[tuple[str, str, str]]:
    """(method, rule, need) of every address of the admin port, from the site's own map."""
    site = management(open_app(home))
    found = [
        (method, rule.rule, access.need_of(site.view_functions[rule.endpoint]) or "nothing")
        for rule in site.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    return sorted(found, key=lambda one: (one[1].startswith("/api"), one[1], one[0]))


def address(rule: str) -> str:
    return re.sub("<[^>]*>", NOWHERE, rule)


class Callers:
    """Everybody who calls, made on a real appliance that is set up with them."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        self._open: dict[str, httpx.Client] = {}
        appliance.set_up("admin").close()
        for role in ROLES[:-1]:
            appliance.add_user(role, role).close()
        ask = Client(appliance.home).call
        self._one_time = ask("user.add", name="one-time", role="admin")["password"]
        with open_app(appliance.home).home.registry.write() as tx:  # for models that need not be there

            def mint(models: Sequence[str] = (), expires: str | None = None, role: str | None = None) -> str:
                return minting.create(tx, list(models), expires, "walk", "test", role)[0]

            self.tokens = {f"token:{role.value}": mint(role=role.value) for role in FOR_TOKENS}
            self.tokens |= {"this-model": mint([NOWHERE]), "other-model": mint(["other"])}
            self.tokens |= {"predictions": mint(["*"]), "expired": mint(["*"], "1s", "operator")}
        revoked = ask("token.create", models=["*"], role="operator")
        ask("token.revoke", id=revoked["id"])  # and by now every worker knows all of them
        self.tokens["revoked"] = revoked["token"]
        with contextlib.closing(self.new("expired")) as late:
            until(lambda: late.get("/api/v1/session").status_code == 401)

    def new(self, name: str) -> httpx.Client:
        """A browser or program of its own."""
        client = self.appliance.browser()
        if name in self.tokens:
            client.headers["Authorization"] = f"Bearer {self.tokens[name]}"
        elif name == "over":
            ended = self.appliance.sign_in("viewer")
            kept = dict(ended.cookies)
            assert ended.delete("/api/v1/session").status_code == 200
            ended.close()
            client.cookies.update(kept)
        elif name != "nobody":
            client.close()
            return self.appliance.sign_in(name, self._one_time if name == "one-time" else None)
        return client

    def request(self, name: str, method: str, path: str) -> httpx.Response:
        """As a browser asks for a page, and a program or a script for the API."""
        if (method, path) in _ALONE:
            with contextlib.closing(self.new(name)) as client:
                return _send(client, method, path)
        if name not in self._open:
            self._open[name] = self.new(name)
        return _send(self._open[name], method, path)

    def close(self) -> None:
        for client in self._open.values():
            client.close()


def _send(client: httpx.Client, method: str, path: str) -> httpx.Response:
    if path.startswith("/api/"):
        body = {} if method in ("GET", "HEAD", "OPTIONS") else {"json": {}}
        return client.request(method, path, **body)  # type: ignore[arg-type]
    page = {"Accept": "text/html"}
    if (method, path) != ("POST", "/sign-in"):
        return client.request(method, path, headers=page)
    client.get("/sign-in", headers=page)
    form = {"name": "viewer", "password": PASSWORD, "csrf": client.cookies.get("falaj-form", "")}
    return client.post(path, data=form, headers=page)


def pages(callers: Callers) -> Iterator[Row]:
    """The admin port."""
    for method, rule, need in routes(callers.appliance.home):
        seen = {}
        for name in CALLERS:
            reply = callers.request(name, method, address(rule))
            assert reply.status_code < 500 or rule == "/readyz", f"{method} {rule} as {name}: {reply.text}"
            seen[name] = outcome(reply.status_code, reply.headers.get("location", ""))
            if name == "one-time" and reply.headers.get("location") == "/account":
                seen[name] = "account"
            if need == access.SETUP and reply.status_code == 409:
                seen[name] = "over"
        yield Row(f"{method} {rule}", need, seen)


def endpoint(callers: Callers) -> Iterator[Row]:
    """The inference endpoint."""
    with contextlib.closing(callers.new("viewer")) as signed_in:
        cookies = dict(signed_in.cookies)
    for door, paths in TEMPLATES.items():
        for path in paths:
            method = METHODS_OF[door][0]
            seen = {}
            for name in ENDPOINT:
                headers = (
                    {"Authorization": f"Bearer {callers.tokens[name]}"} if name in callers.tokens else {}
                )
                with httpx.Client(cookies=cookies if name == "session" else None, timeout=30) as client:
                    url = f"http://127.0.0.1:{callers.appliance.port}{path.replace('MODEL', NOWHERE)}"
                    reply = client.request(method, url, headers=headers)
                assert reply.status_code < 500, f"{method} {path} as {name}: {reply.text}"
                seen[name] = outcome(reply.status_code)
            yield Row(f"{method} {path}", door.name.lower(), seen)


def local_socket(home: Path) -> Iterator[Row]:
    """Every verb of the CLI's door, with every file permission given away: who it is still counts."""
    door = socket_path(config.load(home).run_dir)
    for verb in sorted(PERMISSIONS):
        seen = {
            "owner": socket_outcome(door, os.geteuid(), verb),
            "another": socket_outcome(door, NOBODY, verb),
        }
        yield Row(verb, "owner", seen)
    door.parent.chmod(0o700)


def socket_outcome(door: Path, uid: int, verb: str) -> str:
    """A call from a process of that account, with names of things that aren't there."""
    door.parent.chmod(0o777)  # each time: some verbs put it right again
    door.chmod(0o666)
    words = ("name", "dataset", "model", "user", "job", "id", "session", "target")
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", CALL, str(door), verb, json.dumps(dict.fromkeys(words, NOWHERE))],
        user=uid, group=uid, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{verb} as {uid}: {done.stderr}"
    return "403" if json.loads(done.stdout).get("kind") == "Forbidden" else "allowed"


def table(sections: dict[str, list[Row]]) -> str:
    """The golden file: a line an address or verb, a column a caller."""
    lines = [
        "# Who may go where, as a real appliance answers; made by: python -m tests.system.walk",
        "# allowed: let in, also where what was asked for isn't there. sign-in, account: led there instead.",
        "# one-time: an admin with a one-time password. over: a session that was signed out.",
    ]
    for title, rows in sections.items():
        columns = list(rows[0].outcomes)
        widths = [max(7, len(name)) for name in columns]
        head = " ".join(f"{name:{width}}" for name, width in zip(columns, widths, strict=True))
        lines += ["", f"{title:41} {'needs':18} {head}".rstrip()]
        for row in rows:
            cells = " ".join(
                f"{row.outcomes[name]:{width}}" for name, width in zip(columns, widths, strict=True)
            )
            lines.append(f"{row.what:41} {row.need:18} {cells}".rstrip())
    return "\n".join(lines) + "\n"


def walk(callers: Callers) -> dict[str, list[Row]]:
    return {
        "admin port": list(pages(callers)),
        "endpoint": list(endpoint(callers)),
        "local socket": list(local_socket(callers.appliance.home)),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        walked = Appliance(Path(folder) / "home").start()
        try:
            GOLDEN.write_text(table(walk(Callers(walked))))
        finally:
            walked.stop()
