"""The answered predictions: what was asked, what was said, by request id.

They are kept in pieces: one compressed row a flush and version, which costs the request path next to nothing,
takes little room and goes as a whole when it is too old or there is too much. Request ids sort by time
(UUIDv7), so a piece is found by the ids of its first and last prediction. All of it is in the encrypted
telemetry.db, and off with telemetry.log_days = 0.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from appliance import clock
from appliance.db import Row, Store, Transaction
from appliance.errors import NotFound

ROOM = 1 << 20  # bytes of predictions that go to the disk as one row
LONGEST = 64 * 1024  # bytes of a request or an answer that are kept; of a longer one only that it was
_MERGED = 1 << 17  # bytes up to which old pieces are put together
_OLD = 3600.0
_SPAN = 2 * 3600.0  # no piece spans longer
_HEAD = struct.Struct("<32sIBII")  # request id, rows, lengths of token, request and answer


@dataclass(frozen=True)
class Logged:
    """One answered prediction. `request` and `reply` are the JSON as sent; empty when too long to be kept."""

    request_id: str
    model: str
    version: int
    runtime: str
    rows: int
    token: str
    request: bytes
    reply: bytes

    @property
    def at(self) -> str:
        """When it was asked, as the id says (RFC 9562, 5.7)."""
        return clock.stamp_of(int(self.request_id[:12], 16) / 1000)


class Piece:
    """Predictions of one version on their way to the disk, one after the other in a buffer of fixed size.

    A buffer, because objects that are kept until the next flush, or one that grows, cost the request path
    more in cold memory than all else that it does for telemetry.
    """

    __slots__ = ("_buffer", "_packed", "first", "last", "predictions", "runtime", "size")

    def __init__(self, runtime: str, room: int = ROOM) -> None:
        self.runtime = runtime
        self._buffer = bytearray(room)
        self._packed = b""
        self.size = 0
        self.first = "g"  # behind every hexadecimal id
        self.last = ""
        self.predictions = 0

    def pack(self) -> bytes:
        """What goes to the disk; from then on nothing fits in any more, and only that is held."""
        if not self._packed:
            self._packed = zlib.compress(memoryview(self._buffer)[: self.size], 1)
            self._buffer = bytearray()
        return self._packed

    @property
    def held(self) -> int:
        """Bytes of memory."""
        return len(self._buffer) + len(self._packed)

    def add(self, request_id: str, rows: int, token: str, request: bytes, reply: bytes) -> bool:
        """Put one prediction behind the others, if it fits; a body longer than LONGEST is left out."""
        who = token.encode()[:255]
        if len(request) > LONGEST:
            request = b""
        if len(reply) > LONGEST:
            reply = b""
        head = _HEAD.pack(request_id.encode(), rows, len(who), len(request), len(reply))
        entry = b"".join((head, who, request, reply))
        end = self.size + len(entry)
        if end > len(self._buffer):
            return False
        self._buffer[self.size : end] = entry
        self.size = end
        if request_id > self.last:
            self.last = request_id
        if request_id < self.first:
            self.first = request_id
        self.predictions += 1
        return True


def add(tx: Transaction, model: str, version: int, piece: Piece) -> None:
    """Keep a piece."""
    told = (piece.first, piece.last, piece.predictions)
    _insert(tx, model, version, piece.runtime, told, piece.pack())


def find(store: Store, request_id: str) -> Logged:
    """Raises NotFound."""
    try:
        earliest = max(0, int(request_id[:12], 16) - int(_SPAN * 1000))
    except ValueError:
        earliest = 0
    pieces = store.all(
        "SELECT * FROM prediction_log WHERE first <= ? AND first >= ? AND last >= ?",
        (request_id, f"{earliest:012x}", request_id),
    )
    for piece in pieces:
        for logged in _unpack(piece):
            if logged.request_id == request_id:
                return logged
    raise NotFound(
        f"There is no kept prediction '{request_id[:40]}'.",
        "Old ones go: see telemetry.log_days and telemetry.log_mb; the newest: falaj prediction ls MODEL",
    )


def recent(store: Store, model: str, limit: int) -> list[Logged]:
    """The newest predictions of a model, newest first."""
    found: list[Logged] = []
    pieces = store.all(
        "SELECT * FROM prediction_log WHERE model = ? ORDER BY first DESC LIMIT ?", (model, limit)
    )
    for piece in pieces:
        found += _unpack(piece)
        if len(found) >= limit:
            break
    return sorted(found, key=lambda one: one.request_id, reverse=True)[:limit]


def size(store: Store) -> Row:
    """How much is kept: {"predictions", "bytes"}."""
    row = store.one("SELECT sum(predictions) AS predictions, sum(bytes) AS bytes FROM prediction_log") or {}
    return {name: int(row[name] or 0) for name in ("predictions", "bytes")}


def prune(tx: Transaction, now: float, days: float, most: int) -> int:
    """Forget what is older than so many days, then the oldest down to `most` bytes; how many pieces went."""
    oldest = f"{max(0, int((now - days * 86400) * 1000)):012x}"
    gone = tx.execute("DELETE FROM prediction_log WHERE last < ?", (oldest,))
    return gone + tx.execute(
        "DELETE FROM prediction_log WHERE id IN (SELECT id FROM (SELECT id, sum(bytes) OVER"
        " (ORDER BY first DESC, id DESC) AS so_far FROM prediction_log) WHERE so_far > ?)",
        (most,),
    )


def merge(tx: Transaction, now: float) -> None:
    """Put small old pieces of one version and hour together: few rows are found and counted faster."""
    before = f"{int((now - _OLD) * 1000):012x}"
    groups: dict[tuple[str, int, str, int], list[Row]] = {}
    for row in tx.all(
        "SELECT id, model, version, runtime, first, last, predictions, bytes FROM prediction_log"
        " WHERE last < ? AND bytes < ? ORDER BY first",
        (before, _MERGED // 2),
    ):
        hour = int(row["first"][:12], 16) // 3_600_000
        groups.setdefault((row["model"], row["version"], row["runtime"], hour), []).append(row)
    for (model, version, runtime, _), rows in groups.items():
        for batch in _batches(rows):
            content = b"".join(_content(tx, row["id"]) for row in batch)
            told = (
                batch[0]["first"],
                max(row["last"] for row in batch),
                sum(row["predictions"] for row in batch),
            )
            for row in batch:
                tx.execute("DELETE FROM prediction_log WHERE id = ?", (row["id"],))
            _insert(tx, model, version, runtime, told, zlib.compress(content, 6))


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    """Neighbours that together stay below a piece; a single row is left alone."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and size + row["bytes"] > _MERGED:
            if len(batch) > 1:
                yield batch
            batch, size = [], 0
        batch.append(row)
        size += row["bytes"]
    if len(batch) > 1:
        yield batch


def _content(tx: Transaction, id: int) -> bytes:
    row = tx.one("SELECT content FROM prediction_log WHERE id = ?", (id,))
    return zlib.decompress(row["content"]) if row else b""


def _insert(
    tx: Transaction, model: str, version: int, runtime: str, told: tuple[str, str, int], content: bytes
) -> None:
    tx.execute(  # not `insert`, which looks the table up each time: the endpoint waits for every microsecond
        "INSERT INTO prediction_log (model, version, runtime, first, last, predictions, bytes, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (model, version, runtime, *told, len(content), content),
    )


def _unpack(piece: Row) -> Iterator[Logged]:
    content = zlib.decompress(piece["content"])
    at = 0
    while at < len(content):
        id, rows, who, request, reply = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        parts = []
        for length in (who, request, reply):
            parts.append(content[at : at + length])
            at += length
        yield Logged(
            id.decode(),
            piece["model"],
            piece["version"],
            piece["runtime"],
            rows,
            parts[0].decode(),
            *parts[1:],
        )
