"""Sealed, content-addressed files: what is too large for a database row.

A blob is encrypted in segments of 1 MiB with AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar,
Rogaway, Vizár 2015): the segment's number and whether it is the last are part of the nonce, so a
segment can't be changed, moved, dropped or added unseen, and any segment can be read by itself. The
address is the SHA-256 of the sealed file: integrity can be checked without a key. Written as temp +
fsync + rename: under an address there is the whole blob or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.errors import Corrupted, NoSpace
from appliance.keys import sync_folder

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC = b"FALAJ-BLOB-1\n\0\0\0"
SEGMENT = 1 << 20
Unowned = dict[str, float]  # since when nobody owns a file, on a clock that never jumps
_YOUNG = 3600.0  # seconds: an upload is sealed before its job's row is there
_TAG = 16
_PREFIX = 7
_HEADER = len(MAGIC) + _PREFIX


@dataclass(frozen=True)
class Blob:
    """What a writer left: its address, the size of its content, and the content's own SHA-256."""

    digest: str
    bytes: int
    content: str


class Blobs:
    """The blob folder of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def put(self, content: bytes, key: bytes) -> Blob:
        """Store some bytes under `key` (32 bytes). Raises NoSpace, leaving nothing."""
        with self.writer(key) as writer:
            writer.write(content)
        return writer.blob

    @contextlib.contextmanager
    def writer(self, key: bytes) -> Iterator[BlobWriter]:
        """Store a stream. Its `blob` is set once the block has ended without an error."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.folder / f".{os.getpid()}.{secrets.token_hex(8)}"
        try:
            with told_when_full(), open(temporary, "xb", opener=_private) as stream:
                writer = BlobWriter(stream, key)
                yield writer
                writer.finish()
                stream.flush()
                os.fsync(stream.fileno())
                target = self.path(writer.blob.digest)
                target.parent.mkdir(mode=0o700, exist_ok=True)
                temporary.rename(target)
                sync_folder(target.parent)
                sync_folder(self.folder)
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, digest: str, key: bytes) -> bytes:
        """The whole content. Raises Corrupted when it is gone or not what was stored."""
        with self.open(digest, key) as stream:
            return stream.read()

    def open(self, digest: str, key: bytes) -> io.BufferedReader:
        """The content as a seekable file that decrypts as it is read (bounded memory)."""
        try:
            return io.BufferedReader(_Unsealer(open(self.path(digest), "rb"), key, digest), SEGMENT)
        except FileNotFoundError as error:
            raise Corrupted(f"The stored file {digest[:12]} is missing.", _RESTORE) from error

    def is_intact(self, digest: str) -> bool:
        """Whether the sealed file is byte for byte what was written; needs no key."""
        try:
            with open(self.path(digest), "rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == digest
        except OSError:
            return False

    def require(self, digests: Iterable[str]) -> None:
        """Raise Corrupted unless all of these are there: for the transaction that begins to refer to them."""
        for digest in digests:
            if not self.path(digest).exists():
                raise Corrupted(f"The stored file {digest[:12]} is gone.", "Try again; see: falaj doctor")

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def sweep(self, known: set[str], unowned: Unowned, now: float) -> int:
        """Delete what a dead writer left, and what no row has owned for an hour; how many there were.

        A file's own time says nothing here: the wall clock may have been set since it was written.
        """
        removed = 0
        there = {path.name: path for path in self.folder.glob("**/*") if path.is_file()}
        for name in unowned.keys() - (there.keys() - known):
            del unowned[name]
        for name, path in there.items():
            if name in known:
                continue
            if _is_abandoned(name) or now - unowned.setdefault(name, now) > _YOUNG:
                path.unlink(missing_ok=True)
                unowned.pop(name, None)
                removed += 1
        return removed


class BlobWriter:
    """Seals what is written, a segment at a time."""

    blob: Blob

    def __init__(self, stream: IO[bytes], key: bytes) -> None:
        self._stream = stream
        self._cipher = AESGCM(key)
        self._prefix = secrets.token_bytes(_PREFIX)
        self._pending = bytearray()
        self._segments = 0
        self._bytes = 0
        self._content = hashlib.sha256()
        self._sealed = hashlib.sha256()
        self._emit(MAGIC + self._prefix)

    def write(self, content: bytes | memoryview) -> int:
        self._pending += content
        while len(self._pending) > SEGMENT:  # the last segment, full or not, is sealed by finish()
            self._seal(bytes(self._pending[:SEGMENT]), last=False)
            del self._pending[:SEGMENT]
        return len(content)

    def finish(self) -> None:
        self._seal(bytes(self._pending), last=True)
        self.blob = Blob(self._sealed.hexdigest(), self._bytes, self._content.hexdigest())

    def _seal(self, plain: bytes, last: bool) -> None:
        self._emit(self._cipher.encrypt(_nonce(self._prefix, self._segments, last), plain, MAGIC))
        self._content.update(plain)
        self._segments += 1
        self._bytes += len(plain)

    def _emit(self, sealed: bytes) -> None:
        self._stream.write(sealed)
        self._sealed.update(sealed)


class _Unsealer(io.RawIOBase):
    """Reads a sealed file segment by segment; keeps one decrypted segment."""

    def __init__(self, stream: IO[bytes], key: bytes, digest: str) -> None:
        self._stream = stream
        self._cipher = AESGCM(key)
        self._digest = digest
        header = stream.read(_HEADER)
        body = os.fstat(stream.fileno()).st_size - _HEADER
        self._count = max(1, -(-body // (SEGMENT + _TAG)))
        self._size = body - self._count * _TAG
        self._prefix = header[len(MAGIC) :]
        self._position = 0
        self._held: tuple[int, bytes] = (-1, b"")
        if not header.startswith(MAGIC) or self._size < 0:
            self._fail()

    def _fail(self, cause: Exception | None = None) -> None:
        raise Corrupted(f"The stored file {self._digest[:12]} is damaged.", _RESTORE) from cause

    def _segment(self, index: int) -> bytes:
        if self._held[0] != index:
            self._stream.seek(_HEADER + index * (SEGMENT + _TAG))
            sealed = self._stream.read(SEGMENT + _TAG)
            try:
                nonce = _nonce(self._prefix, index, last=index == self._count - 1)
                self._held = (index, self._cipher.decrypt(nonce, sealed, MAGIC))
            except (InvalidTag, ValueError) as error:
                self._fail(error)
        return self._held[1]

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._size:
            self._segment(
                self._count - 1
            )  # an end that was cut off is found even by a reader that stops here
            return 0
        index, offset = divmod(self._position, SEGMENT)
        plain = self._segment(index)[offset : offset + len(view)]
        view[: len(plain)] = plain
        self._position += len(plain)
        return len(plain)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()


_RESTORE = "Restore it from a backup; falaj doctor lists everything that is damaged."


def _is_abandoned(name: str) -> bool:
    """Whether this is the temporary file of a process that is gone (`.pid.random`)."""
    pid = name[1:].partition(".")[0]
    return name.startswith(".") and pid.isdigit() and not Path(f"/proc/{pid}").exists()


def _nonce(prefix: bytes, index: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", index, last)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def told_when_full() -> Iterator[None]:
    """A full disk (or quota) as NoSpace."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise NoSpace(
                "The disk is full, so nothing was saved.", "Free some space, then try again."
            ) from error
        raise


def is_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def copy_sealed(source: IO[bytes], writer: BlobWriter, limit: int) -> bool:
    """Copy a stream into a writer; False when it has more than `limit` bytes."""
    left = limit
    while chunk := source.read(min(SEGMENT, left + 1)):
        left -= len(chunk)
        if left < 0:
            return False
        writer.write(chunk)
    return True
