"""The reading of a form with a file, piece by piece, against forms made well, badly and with intent."""

from __future__ import annotations

import contextlib
import email.policy
import http.client
import io
import random
import resource
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request, g
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.formparser import parse_form_data

from appliance.doors import uploads
from appliance.doors.identify import Identity
from appliance.errors import BadInput
from appliance.security.roles import Caller, Role
from tests.unit.doors.serving import Served

BOUNDARY = "----boundary"
PROGRAM = Identity(Caller("token:x", Role.OPERATOR))
ASIDE = Flask(__name__)


class Dripping(io.RawIOBase):
    """A body that arrives in small pieces, each of another size."""

    def __init__(self, content: bytes, seed: int = 0, most: int = 7) -> None:
        self._content, self._at, self._most = content, 0, most
        self._random = random.Random(seed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        step = min(self._random.randint(1, self._most), len(buffer))
        piece = self._content[self._at : self._at + step]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def environment(stream: Any, length: int | None = None, boundary: str = BOUNDARY) -> dict[str, Any]:
    made: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": f'multipart/form-data; boundary="{boundary}"',
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "here",
        "SERVER_PORT": "1",
    }
    return made if length is None else made | {"CONTENT_LENGTH": str(length)}


def receive(body: bytes, most: int = 7, seed: int = 0, boundary: str = BOUNDARY) -> tuple[Any, bytes]:
    """(upload, content of its file), read from a body that drips in."""
    with ASIDE.app_context():
        g.identity = PROGRAM
        upload = uploads.receive(Request(environment(Dripping(body, seed, most), boundary=boundary)))
        return upload, upload.file.read()


@pytest.mark.parametrize("seed", range(20))
def test_a_boundary_that_comes_in_pieces(seed: int) -> None:
    content = b"a,b\r\n1,2\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\n-" * 50
    body = part("name", b"sales") + part("file", content, "s.csv") + END
    upload, read = receive(body, most=1 + seed, seed=seed)
    assert (upload.text("name"), upload.filename, read) == ("sales", "s.csv", content)


NAMES = st.text("abcxyz_0ü", min_size=1, max_size=8)
BYTES = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [b"\r\n", b"\r", b"\n", b"--", b"----boundary", b"--" + BOUNDARY.encode()[:-1], b"x", b"\0"]
    ),
    max_size=20,
).map(b"".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.lists(st.tuples(NAMES, st.text("ab \r\n-é", max_size=40)), max_size=5),
    content=BYTES,
    most=st.integers(1, 400),
    seed=st.integers(0, 1000),
)
def test_small_forms_are_read_as_others_read_them(
    fields: list[tuple[str, str]], content: bytes, most: int, seed: int
) -> None:
    """As werkzeug's own parser does and, where it can take the bytes, the standard library's for mail."""
    body = b"".join(part(name, value.encode()) for name, value in fields)
    if f"--{BOUNDARY}".encode() in content or any(BOUNDARY in value for _, value in fields):
        return
    body += part("file", content, "f.bin") + END
    upload, read = receive(body, most, seed)
    _, form, files = parse_form_data(environment(io.BytesIO(body), len(body)))
    other = files["file"].read()
    files["file"].close()
    assert read == other == content
    assert upload.fields == form.to_dict(flat=False)
    head = f'Content-Type: multipart/form-data; boundary="{BOUNDARY}"\r\n\r\n'.encode()
    mail = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    assert len(list(mail.iter_parts())) == len(fields) + 1


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=400), most=st.integers(1, 50))
def test_noise_is_refused_plainly(body: bytes, most: int) -> None:
    for content in (body, part("name", b"x") + body, part("file", b"", "f")[:-2] + body):
        with contextlib.suppress(BadInput):
            receive(content, most)


def test_cut_off_anywhere_it_is_no_file() -> None:
    """A broken upload must never look like a whole one."""
    body = part("name", b"sales") + part("file", b"a,b\r\n" * 40, "s.csv") + END
    whole = body.index(b"\r\n" + END[:-2])
    for cut in range(whole + len(END) - 4):
        with pytest.raises(BadInput):
            receive(body[:cut], most=64)


def test_the_file_first_is_a_file_without_fields() -> None:
    upload, read = receive(part("file", b"x", "f.csv") + part("name", b"late") + END)
    assert (upload.fields, read) == ({}, b"x")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (END, "No file came"),
        (part("name", b"x") + END, "No file came"),
        (b"", "broke off"),
        (b"hello", "broke off"),
        (b"".join(part(f"f{n}", b"") for n in range(300)) + END, "broke off, or is not one"),
        (part("n", b"x" * 70_000) + END, "too long"),
        (part("n" * 500, b"x" * 70_000) + END, "too long"),
        (b"--" + BOUNDARY.encode() + b"\r\nNo-Name: x\r\n\r\nx\r\n" + END, "broke off, or is not one"),
    ],
)
def test_what_is_no_upload_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        receive(body, most=10_000)


@pytest.mark.parametrize("head", [b"", b"--" + BOUNDARY.encode() + b"\r\nX: "])
def test_a_header_or_preamble_without_an_end_is_given_up(head: bytes) -> None:
    """It can't be handed on in pieces, so it would all be held in memory."""

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            begin = head if self.given == 0 else b""
            self.given += len(buffer)
            assert self.given < 16 << 20, "it goes on and on"
            buffer[:] = begin + b"x" * (len(buffer) - len(begin))
            return len(buffer)

    with ASIDE.app_context():
        g.identity = PROGRAM
        with pytest.raises(BadInput):
            uploads.receive(Request(environment(Endless())))


@pytest.mark.parametrize("kind", ["text/csv", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_another_content_type_is_told(kind: str) -> None:
    with ASIDE.app_context(), pytest.raises(BadInput, match="multipart/form-data"):
        uploads.receive(Request(environment(io.BytesIO()) | {"CONTENT_TYPE": kind}))


@pytest.mark.parametrize(
    "filename",
    ["../../etc/passwd", "C:\\\\x\\\\y.csv", "a\0b.csv", "<script>.csv", "سجل.csv", "x" * 300, ".", ""],
)
def test_a_file_name_is_only_a_word(site: Served, filename: str) -> None:
    """It is kept as what the file was called; no path is made from it."""
    before = set(site.app.home.path.rglob("*"))
    with site.program("operator") as program:
        reply = program.post(
            "/api/v1/datasets", content=part("name", b"names") + part("file", b"a\n1\n", filename) + END,
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )  # fmt: skip
    assert reply.status_code in (202, 400), reply.text
    made = set(site.app.home.path.rglob("*")) - before
    assert all(path.is_relative_to(site.app.home.path / "blobs") or "db" in path.name for path in made), made


def test_a_big_upload_is_never_on_disk_in_the_clear(site: Served, tmp_path: Path) -> None:
    """120 MB arrive; memory grows by a little, and no file anywhere has a line of them."""
    marker, size = b"Zubaida-of-Nizwa,4711\n", 120 << 20
    block = marker * (1 << 15)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    body = part("name", b"big") + part("file", b"", "big.csv")[:-2]
    blocks = size // len(block)
    connection.putrequest("POST", "/api/v1/datasets")
    connection.putheader("Authorization", site.program("operator").headers["Authorization"])
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(len(body) + blocks * len(block) + len(END) + 2))
    connection.endheaders(body)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(blocks):
        connection.send(block)
    connection.send(b"\r\n" + END)
    reply = connection.getresponse()
    assert reply.status == 202, reply.read()
    reply.read()
    connection.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 60_000  # KiB
    for folder in (site.app.home.path, Path("/tmp")):
        for path in folder.glob("**/*" if folder != Path("/tmp") else "tmp*"):
            if path.is_file():
                with open(path, "rb") as stream:
                    assert marker not in stream.read(1 << 20), path
    assert any(path.stat().st_size > size // 2 for path in (site.app.home.path / "blobs").rglob("*"))
