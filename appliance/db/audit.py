"""The audit chain: every entry carries a keyed digest over itself and the entry before it.

HMAC-SHA256 (RFC 2104) under a key that is not in the database, so an entry can't be edited, moved or
taken out unseen. A chain alone can't show that its tail was cut: after every commit its head is also
kept in `audit.head` beside the database, and a chain that no longer reaches that head is broken.
Entries hold names and digests, never personal data.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import clock
from appliance.keys import write_file

LAST = "SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1"
HEAD_FILE = "audit.head"
_START = "0" * 64
_SIGNED = ("seq", "at", "actor", "action", "subject", "detail")


@dataclass(frozen=True)
class Verdict:
    """What `verify` found. `head` is the digest of the last good entry."""

    entries: int
    ok: bool
    head: str
    why: str = ""


def next_entry(
    key: bytes, last: dict[str, Any] | None, actor: str, action: str, subject: str, detail: dict[str, Any]
) -> dict[str, Any]:
    """The row that follows `last` in the chain."""
    entry: dict[str, Any] = {
        "seq": (last["seq"] if last else 0) + 1,
        "at": clock.now(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": json.dumps(detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    }
    entry["digest"] = _digest(key, last["digest"] if last else _START, entry)
    return entry


def keep_head(folder: Path, head: dict[str, Any]) -> None:
    """Remember the newest entry outside the database.

    The transaction is committed by now, so nothing here may make it look failed: after a full disk, a
    crash or a race of two writers the remembered head is a little behind, which `verify` accepts.
    """
    with contextlib.suppress(OSError):
        known = read_head(folder)
        if known is None or head["seq"] > known[0]:
            write_file(
                folder / HEAD_FILE,
                f"{head['seq']} {head['digest']}\n".encode(),
                owner=_owner_for_root(folder),
            )


def _owner_for_root(folder: Path) -> tuple[int, int] | None:
    """Whom root's file must be given to: the account of the folder, whose processes go on with it."""
    found = folder.stat()
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 else None


def read_head(folder: Path) -> tuple[int, str] | None:
    """The remembered (sequence number, digest), or None when there is none yet."""
    try:
        seq, digest = (folder / HEAD_FILE).read_text().split()
        return int(seq), digest
    except FileNotFoundError:
        return None
    except ValueError:
        return 0, "unreadable"


def verify(key: bytes, entries: Iterable[dict[str, Any]], head: tuple[int, str] | None) -> Verdict:
    """Check the whole chain, in order, against itself and against the remembered head."""
    previous, count, met_head = _START, 0, head is None
    for entry in entries:
        if entry["seq"] != count + 1:
            return Verdict(count, False, previous, f"entry {count + 1} is missing")
        digest = _digest(key, previous, entry)
        if not hmac.compare_digest(digest.encode(), entry["digest"].encode()):
            return Verdict(count, False, previous, f"entry {entry['seq']} was changed")
        previous, count = digest, count + 1
        met_head = met_head or (count, digest) == head
    if head is None and count > 1:
        return Verdict(count, False, previous, f"{HEAD_FILE} is missing, so a cut tail could not be seen")
    if not met_head:
        return Verdict(
            count, False, previous, f"the last entries were cut off: {HEAD_FILE} names another end"
        )
    return Verdict(count, True, previous)


def _digest(key: bytes, previous: str, entry: dict[str, Any]) -> str:
    signed = json.dumps([previous, *(entry[name] for name in _SIGNED)], ensure_ascii=False)
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
