"""Which tokens are used: counted in memory, added to telemetry now and then. A crash loses the latest."""

from __future__ import annotations

import threading

from appliance import clock
from appliance.db import Store
from appliance.errors import FalajError


class TokenUse:
    """Counts for one process. `add` never waits for the disk; somebody else calls `flush`."""

    def __init__(self, telemetry: Store) -> None:
        self._telemetry = telemetry
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, id: str) -> None:
        with self._lock:
            self._used[id] = self._used.get(id, 0) + 1

    def flush(self) -> None:
        """Write down what was counted, one row a token and hour; what can't be written is kept for later."""
        with self._lock:
            used, self._used = self._used, {}
        if not used:
            return
        try:
            self._write(used, clock.now())
        except FalajError:
            with self._lock:
                for id, requests in used.items():
                    self._used[id] = self._used.get(id, 0) + requests
            raise

    def _write(self, used: dict[str, int], at: str) -> None:
        with self._telemetry.write() as tx:
            for id, requests in used.items():
                tx.execute(
                    "INSERT INTO token_use VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET requests = requests + excluded.requests, last_at = excluded.last_at",
                    (id, at[:13], requests, at),
                )
