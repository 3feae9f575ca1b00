"""A real appliance for a test: `falaj run` in a home of its own, driven by the real falaj command."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from appliance.cli.client import Client
from appliance.errors import FalajError
from tests.conftest import ROOT

PASSWORD = "correct horse battery"
FALAJ = str(Path(sys.executable).parent / "falaj")


@dataclass(frozen=True)
class Reply:
    """What the endpoint answered."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Appliance:
    """Start, command, ask and stop one appliance."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    port: int = 0
    admin_port: int = 0

    def __post_init__(self) -> None:
        self.port, self.admin_port = self.port or free_port(), self.admin_port or free_port()

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "FALAJ_HOME": str(self.home),
            "FALAJ_INFERENCE_PORT": str(self.port),
            "FALAJ_ADMIN_PORT": str(self.admin_port),
            "FALAJ_INFERENCE_WORKERS": "2",
            "FALAJ_INFERENCE_DRAIN_SECONDS": "5",
        }
        return os.environ | own | self.settings

    @property
    def prefix(self) -> list[str]:
        """What the command that starts it is put behind."""
        return []

    def launch(self) -> subprocess.Popen[str]:
        """Run it, and don't wait."""
        self.home.mkdir(parents=True, exist_ok=True)
        log = open(self.home.parent / f"{self.home.name}.log", "a")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*self.prefix, FALAJ, "run"], env=self.environment, stdout=log, stderr=log, text=True, cwd=ROOT
        )
        log.close()
        return self.process

    def start(self) -> Appliance:
        """Run it and wait until every role is ready."""
        process = self.launch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, self.log()
            with contextlib.suppress(FalajError):
                if Client(self.home).call("status")["ready"]:
                    return self
            time.sleep(0.1)
        raise AssertionError(f"not ready within a minute:\n{self.log()}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def kill(self) -> None:
        """A power cut for its processes: all die with the supervisor (PR_SET_PDEATHSIG)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process = None

    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def falaj(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the command line as a user would."""
        return subprocess.run(
            [FALAJ, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """The command's JSON; the command must succeed."""
        done = self.falaj(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        assert done.stdout.count("\n") == 1, done.stdout
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> dict[str, Any]:
        """The error of a command that must fail: two lines for people, one JSON object for programs."""
        done = self.falaj(*arguments)
        assert done.returncode == 1, f"{arguments}: {done.returncode} {done.stdout}{done.stderr}"
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 2, done.stderr
        assert lines[0].startswith("falaj: "), lines
        assert "Traceback" not in done.stderr + done.stdout
        return {"error": lines[0].removeprefix("falaj: "), "hint": lines[1].strip()}

    def token(self, models: str = "*", *more: str) -> str:
        return str(self.json("token", "create", "--models", models, *more)["token"])

    def page(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request to the admin port, as nobody unless `headers` or `cookies` say who."""
        with self.browser(more.pop("cookies", None)) as client:
            return client.request(method, path, **more)

    def browser(self, cookies: dict[str, str] | None = None) -> httpx.Client:
        """A browser at the admin page; `set_up` and `sign_in` give signed-in ones."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.admin_port}", cookies=cookies, timeout=30)

    def set_up(self, name: str = "mona") -> httpx.Client:
        """Make the first admin with the code that was printed at the start; their browser."""
        code = re.findall(r"^ {6}(\w{5}-\w{5})$", self.log(), re.MULTILINE)[-1]
        return self._entered("/api/v1/setup", code=code, name=name, password=PASSWORD)

    def sign_in(self, name: str, password: str | None = None) -> httpx.Client:
        """A new browser of somebody."""
        return self._entered("/api/v1/session", name=name, password=password or PASSWORD)

    def _entered(self, path: str, **body: str) -> httpx.Client:
        client = self.browser()
        reply = client.post(path, json=body)
        assert reply.status_code == 201, reply.text
        client.headers["X-CSRF-Token"] = reply.json()["csrf"]
        return client

    def add_user(self, name: str, role: str) -> httpx.Client:
        """Somebody new, who has chosen a password of their own; their browser."""
        made = Client(self.home).call("user.add", name=name, role=role)
        client = self.sign_in(name, made["password"])
        body = {"old": made["password"], "new": PASSWORD}
        assert client.post("/api/v1/account/password", json=body).status_code == 200
        return client

    def ask(self, path: str, body: Any = None, token: str | None = None, **headers: str) -> Reply:
        """One request to the endpoint."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with contextlib.closing(connection):
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request("GET" if body is None else "POST", path, content, headers)
            reply = connection.getresponse()
            raw = reply.read()
            return Reply(reply.status, json.loads(raw) if raw else None, dict(reply.getheaders()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
