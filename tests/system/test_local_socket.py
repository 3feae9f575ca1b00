"""The command line's door: only owner and root get in, nonsense does no harm, secrets stay where they are."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import config
from appliance.cli.client import Client
from appliance.framing import LENGTH, LONGEST, exactly, socket_path
from appliance.keys import PURPOSES, open_keys
from tests.system import processes
from tests.system.appliance import FALAJ, Appliance

NOBODY = 65534
STRANGER = 54321
CALL = """
import json, socket, struct, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
body = json.dumps({"verb": sys.argv[2], "args": json.loads(sys.argv[3])}).encode()
connection.sendall(struct.pack(">I", len(body)))
connection.sendall(body)
reply = b""
while part := connection.recv(65536):
    reply += part
print(reply[4:].decode())
"""


@pytest.fixture
def door(appliance: Appliance) -> Path:
    return socket_path(config.load(appliance.home).run_dir)


@pytest.fixture
def wide_open(door: Path) -> Iterator[Path]:
    """The socket with every file permission given away: only the check of the caller is left."""
    modes = [(path, path.stat().st_mode) for path in (door.parent, door)]
    door.parent.chmod(0o777)
    door.chmod(0o666)
    yield door
    for path, mode in modes:
        path.chmod(mode)


def as_user(uid: int, door: Path, verb: str, **args: object) -> subprocess.CompletedProcess[str]:
    """Call a verb from a process of another account."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    return subprocess.run(
        ["/usr/bin/env", "python3", "-c", CALL, str(door), verb, json.dumps(args)],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize("uid", [NOBODY, STRANGER])
def test_another_account_is_refused_by_who_it_is(appliance: Appliance, wide_open: Path, uid: int) -> None:
    entries = Client(appliance.home).call("audit.verify")["entries"]
    for verb, args in (
        ("status", {}),
        ("token.create", {"models": ["*"]}),
        ("audit.export", {}),
        ("nonsense", {}),
    ):
        done = as_user(uid, wide_open, verb, **args)
        reply = json.loads(done.stdout)
        assert reply == {
            "error": {
                "error": "This account may not command the appliance.",
                "hint": "Act as its owner: sudo -u root falaj ...",
            },
            "kind": "Forbidden",
        }
    assert json.loads(as_user(0, wide_open, "status").stdout)["result"][
        "ready"
    ]  # the same call, from its owner
    chain = Client(appliance.home).call("audit.ls", limit=1000)
    assert {one["action"] for one in chain if one["seq"] > entries} <= {"access.refused"}
    assert any(one["actor"].startswith("account:") and one["subject"] == "socket" for one in chain)


def test_another_account_does_not_even_reach_the_socket(appliance: Appliance, door: Path) -> None:
    assert (door.parent.stat().st_mode & 0o777, door.stat().st_mode & 0o777) == (0o700, 0o600)
    assert "PermissionError" in as_user(NOBODY, door, "status").stderr


def test_a_refused_account_is_told_by_the_command_too(appliance: Appliance, wide_open: Path) -> None:
    """Not 'the appliance is not running': it is, and says no. Many times, for the refusal comes early."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"  # readable for everyone, and it leads to the open socket
        home.mkdir()
        os.chmod(folder, 0o755)
        way = Path(folder) / config.load(home).run_dir.name
        way.symlink_to(wide_open.parent)
        environment = appliance.environment | {"FALAJ_HOME": str(home), "FALAJ_RUN_DIR": folder}
        for _ in range(5):
            done = subprocess.run(
                [FALAJ, "status"], user=NOBODY, group=NOBODY, extra_groups=[], env=environment, cwd="/",
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr.splitlines()[0]) == (
                1,
                "falaj: This account may not command the appliance.",
            )


def test_a_home_of_somebody_else_is_told(appliance: Appliance) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    for command in ("status", "doctor", "run"):
        done = subprocess.run(
            [FALAJ, command], user=NOBODY, group=NOBODY, extra_groups=[], env=appliance.environment, cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 2, done.stderr
        assert done.stderr.startswith("falaj: ")


def test_an_appliance_of_an_ordinary_account() -> None:
    """Its owner and root command it, each under their own name in the audit chain; nobody else does."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    folder = Path(tempfile.mkdtemp())
    appliance = Appliance(folder / "home")
    appliance.home.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    os.chown(appliance.home, NOBODY, NOBODY)
    process = subprocess.Popen(
        [FALAJ, "run"], user=NOBODY, group=NOBODY, extra_groups=[], env=appliance.environment, cwd="/",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        processes.until(lambda: Client(appliance.home).call("status")["ready"], 60)
        run_dir = config.load(appliance.home).run_dir
        assert {path.stat().st_uid for path in appliance.home.rglob("*")} == {NOBODY}
        run_dir.chmod(0o777)
        socket_path(run_dir).chmod(0o666)
        refused = json.loads(as_user(STRANGER, socket_path(run_dir), "token.create", models=["*"]).stdout)
        assert refused["kind"] == "Forbidden"
        assert "sudo -u nobody falaj" in refused["error"]["hint"]
        for uid in (NOBODY, 0):
            assert "result" in json.loads(
                as_user(uid, socket_path(run_dir), "token.create", models=["*"]).stdout
            )
        entries = Client(appliance.home).call("audit.ls", limit=2)
        assert [entry["actor"] for entry in entries] == ["cli:root", "cli:nobody"]
    finally:
        process.terminate()
        assert process.wait(20) == 0
        shutil.rmtree(folder)
        shutil.rmtree(run_dir, ignore_errors=True)


def converse(door: Path, raw: bytes) -> dict[str, Any] | None:
    """Send bytes as they are and say no more; the reply, or None when the appliance hung up without one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(door))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        try:
            (length,) = LENGTH.unpack(exactly(connection, LENGTH.size))
            reply: dict[str, Any] = json.loads(exactly(connection, length))
        except ConnectionError:
            return None
        return reply


def frame(content: bytes) -> bytes:
    return LENGTH.pack(len(content)) + content


NONSENSE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "nothing at all": (lambda: b"", None),
    "half a length": (lambda: b"\0\0", None),
    "half a message": (lambda: LENGTH.pack(1000) + b'{"verb"', None),
    "noise": (lambda: LENGTH.pack(4096) + random.Random(0).randbytes(4096), "A call must be a JSON object."),
    "HTTP": (lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "The call is too large."),
    "a huge length": (lambda: b"\xff\xff\xff\xff", "The call is too large."),
    "one byte too long": (lambda: LENGTH.pack(LONGEST + 1) + b"x" * 100_000, "The call is too large."),
    "an empty message": (lambda: frame(b""), "A call must be a JSON object."),
    "a list": (lambda: frame(b"[1, 2]"), "A call must be a JSON object."),
    "not UTF-8": (lambda: frame(b'{"verb": "\xff"}'), "A call must be a JSON object."),
    "very deep": (lambda: frame(b"[" * 200_000), "A call must be a JSON object."),
    "no verb": (lambda: frame(b'{"args": {}}'), "This is not a call of a verb."),
    "no arguments": (lambda: frame(b'{"verb": "status"}'), "This is not a call of a verb."),
    "a verb that is a number": (lambda: frame(b'{"verb": 7, "args": {}}'), "This is not a call of a verb."),
    "an unknown verb": (lambda: frame(b'{"verb": "explode", "args": {}}'), "There is no 'explode'."),
    "a hidden name": (lambda: frame(b'{"verb": "__init__", "args": {}}'), "There is no '__init__'."),
    "a wrong argument": (
        lambda: frame(b'{"verb": "model.show", "args": {"model": 7}}'),
        "The 'model' of model.show must be a text. Got '7' instead.",
    ),
    "no file": (
        lambda: frame(b'{"verb": "dataset.add", "args": {"name": "n", "filename": "f"}}'),
        "No file came with the request.",
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_answered_and_forgotten(appliance: Appliance, door: Path, what: str) -> None:
    made, wrong = NONSENSE[what]
    reply = converse(door, made())
    assert (reply and reply["error"]["error"]) == wrong
    assert Client(appliance.home).call("status")["ready"]
    assert "Traceback" not in appliance.log()


def test_silent_callers_hold_nobody_up(appliance: Appliance, door: Path) -> None:
    """A hundred connections that say nothing, a hundred that stop in the middle: commands go on meanwhile."""
    (admin,) = processes.of_role(appliance, "admin")
    before = admin.num_fds()
    with contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(door))
            if number % 2:
                connection.sendall(LENGTH.pack(500) + b'{"verb":')
        began = time.monotonic()
        for _ in range(20):
            assert Client(appliance.home).call("status")["ready"]
        assert time.monotonic() - began < 5
    processes.until(lambda: admin.num_fds() <= before + 5)  # what hung up was let go


def test_files_that_nobody_asked_for_are_closed(appliance: Appliance, door: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (admin,) = processes.of_role(appliance, "admin")
    content = json.dumps({"verb": "status", "args": {}}).encode()
    with open(tmp_path / "f") as file:
        for descriptors in ([file.fileno()], [file.fileno()] * 20, [os.open(tmp_path, os.O_RDONLY)]):
            for _ in range(10):
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(20)
                    connection.connect(str(door))
                    socket.send_fds(connection, [LENGTH.pack(len(content))], descriptors)
                    connection.sendall(content)
                    with contextlib.suppress(ConnectionError):
                        exactly(connection, LENGTH.size)
        os.close(descriptors[0])
    open_files = processes.until(lambda: [one.path for one in admin.open_files()] or ["none"])
    assert str(tmp_path / "f") not in open_files
    assert str(tmp_path) not in [
        os.readlink(path) for path in Path(f"/proc/{admin.pid}/fd").iterdir() if path.exists()
    ]
    assert Client(appliance.home).call("status")["ready"]


def test_secrets_are_nowhere_to_be_read(new_appliance: Callable[..., Appliance], tmp_path: Path) -> None:
    """Tokens and keys: in no log, no command line, no environment, and no file of the home in the clear.

    Looked at while everything happens that needs them: an import, a training, a roll-out, predictions.
    """
    appliance = new_appliance().start()
    marker = "Zubaida-of-Nizwa"
    table = tmp_path / "people.csv"
    lines = [f"{i % 97},{marker if i % 3 else 'other'},{3 * (i % 97)}" for i in range(300)]
    table.write_text("\n".join(["x,who,y", *lines]) + "\n")
    token = appliance.token("*")
    appliance.json("dataset", "add", "people", str(table))
    started = appliance.json("train", "secret", "--dataset", "people", "--target", "y", "--detach")
    child = processes.held(appliance, started["job"])
    secrets = _secrets(appliance) | {"token": token.encode()}
    _nowhere_in_processes(appliance, secrets)
    child.resume()
    assert processes.ended(appliance, started["job"])["state"] == "succeeded"
    appliance.json("deploy", "secret")
    row = {"rows": [{"x": 4, "who": marker}]}
    assert appliance.ask("/predict/secret", row, token).status == 200
    assert appliance.ask("/predict/secret", {"rows": [{"x": "?"}]}, token).status == 422
    assert appliance.ask("/predict/secret", row, token[:-1]).status == 401
    appliance.json("predict", "secret", "--row", json.dumps(row["rows"][0]))
    for command in ("token ls", "audit export", "job ls", "doctor", "status", f"job logs {started['job']}"):
        told = appliance.falaj(*command.split(), "--json").stdout.encode()
        assert [name for name, secret in secrets.items() if secret in told] == [], command
    _nowhere_in_processes(appliance, secrets)
    appliance.stop()

    logs = [*(appliance.home / "logs").rglob("*.log"), appliance.home.parent / f"{appliance.home.name}.log"]
    assert len(logs) >= 3
    for path in logs:
        content = path.read_bytes()
        assert [name for name, secret in secrets.items() if secret in content] == [], path
        assert marker.encode() not in content, path
    files = [path for path in appliance.home.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        held = [name for name, secret in secrets.items() if secret in content]
        assert held == (["master key"] if path.name == "master.key" else []), path
        assert marker.encode() not in content, path
        assert path.stat().st_mode & 0o077 == 0, f"{path} is not private"


def _secrets(appliance: Appliance) -> dict[str, bytes]:
    """Every key of the home, as it is and in hex, and the command line's own token."""
    ring = open_keys(appliance.home)
    found = {"master key": (appliance.home / "keys" / "master.key").read_bytes()}
    found |= {f"{purpose} key": ring.key(purpose) for purpose in PURPOSES}
    found |= {f"{name} in hex": key.hex().encode() for name, key in found.items()}
    run_dir = config.load(appliance.home).run_dir
    for path in run_dir.rglob("*token*"):
        found["local token"] = path.read_bytes().strip()
    assert "local token" in found
    return found


def _nowhere_in_processes(appliance: Appliance, secrets: dict[str, bytes]) -> None:
    running = processes.everything(appliance)
    assert len(running) >= 6
    for process in running:
        for part in ("cmdline", "environ"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                content = Path(f"/proc/{process.pid}/{part}").read_bytes()
                assert [name for name, secret in secrets.items() if secret in content] == [], (
                    f"{part} {process}"
                )


def test_what_the_appliance_shows_of_a_token_is_not_enough_to_use_it(appliance: Appliance) -> None:
    made = appliance.json("token", "create", "--models", "*", "--name", "till")
    rows = [row for row in Client(appliance.home).call("token.ls") if row["id"] == made["id"]]
    assert rows[0]["name"] == "till"
    secret = re.sub(r"^falaj_", "", made["token"])
    assert all(secret[start : start + 12] not in json.dumps(rows) for start in range(len(secret) - 12))
