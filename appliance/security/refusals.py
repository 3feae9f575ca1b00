"""Refused calls, counted by source and written into the audit chain so that a flood can't fill it.

The first refusal of a source is written at once, further ones of the same minute as one entry with their
number; at most MOST sources a minute are told apart, the others share one.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from appliance.db import Store
from appliance.errors import FalajError

log = logging.getLogger(__name__)

SPAN = 60.0  # seconds that are told as one
MOST = 20
OTHERS = "others"


@dataclass
class _Count:
    begun: float
    refused: dict[str, int] = field(default_factory=dict)


class Refusals:
    """Counts for one process; `door` is where they happened (admin, endpoint, socket).

    With `at_once` false `add` never writes, so that it may be called where nothing may wait; somebody else
    has to call `flush`.
    """

    def __init__(self, store: Store, door: str, at_once: bool = True) -> None:
        self._store = store
        self._door = door
        self._at_once = at_once
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lock = threading.Lock()

    def add(self, source: str, status: int, about: str = "", times: int = 1) -> None:
        """Count one, or so many, `about` a user whose password was wrong. Writes at most one entry, and never
        fails.
        """
        key = (source, about or self._door)
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST:
                key = (OTHERS, self._door)
            told = self._at_once and key not in self._counts
            count = self._counts.setdefault(key, _Count(time.monotonic()))
            if not told:
                count.refused[str(status)] = count.refused.get(str(status), 0) + times
        if told:
            self._write(*key, {str(status): times})
        if self._at_once:
            self.flush()

    def flush(self, everything: bool = False) -> None:
        """Write what was counted, of all minutes that are over (or of the present one too)."""
        begun_before = float("inf") if everything else time.monotonic() - SPAN
        with self._lock:
            over = {key: one for key, one in self._counts.items() if one.begun <= begun_before}
            for key in over:
                del self._counts[key]
        for key, count in over.items():
            if count.refused:
                self._write(*key, count.refused)

    def _write(self, source: str, about: str, refused: dict[str, int]) -> None:
        try:
            with self._store.write() as tx:
                tx.audit(source, "access.refused", about, {"door": self._door, "refused": refused})
        except FalajError as error:
            log.warning("a refusal could not be written down: %s", error.message)
