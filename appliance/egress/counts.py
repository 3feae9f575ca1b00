"""What was called, refused and failed, until somebody has written it down; bounded, whatever is asked.

Counts are handed out as a batch with a name, the same one again until it is acknowledged: whoever writes them
down remembers the name in the same transaction, and so counts nothing twice.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

MOST = 1000  # hosts that are told apart; the others share one name
OTHER = "other"
DONE, REFUSED, FAILED = "done", "refused", "failed"

Key = tuple[str, int, str]  # host, port, verdict


class Counts:
    """Calls and bytes by host, port and verdict."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[Key, list[int]] = {}
        self._handed: tuple[str, list[dict[str, Any]]] = ("", [])

    def add(self, host: str, port: int, verdict: str, bytes_out: int = 0, bytes_in: int = 0) -> None:
        key = (host, port, verdict)
        with self._lock:
            if key not in self._counted and len(self._counted) >= MOST:
                key = (OTHER, 0, verdict)
            count = self._counted.setdefault(key, [0, 0, 0])
            for place, more in enumerate((1, bytes_out, bytes_in)):
                count[place] += more

    def hand_out(self, acknowledged: str) -> dict[str, Any]:
        """The batch that is not acknowledged yet, else a new one; empty without anything new."""
        with self._lock:
            if self._handed[0] == acknowledged:
                self._handed = ("", [])
            if not self._handed[0] and self._counted:
                self._handed = (secrets.token_hex(8), [_row(*one) for one in self._counted.items()])
                self._counted = {}
            batch, counts = self._handed
        return {"batch": batch, "counts": counts}


def _row(key: Key, count: list[int]) -> dict[str, Any]:
    names = ("host", "port", "verdict", "calls", "bytes_out", "bytes_in")
    return dict(zip(names, (*key, *count), strict=True))
