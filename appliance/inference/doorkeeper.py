"""Who may ask this worker: the token book, kept fresh, and a count of which tokens were used.

A thread of its own follows the registry, so that a token made or revoked is in force within
milliseconds whatever else the worker is doing; `falaj token` waits until every worker has said so.
Use is counted in memory and added to telemetry now and then: a crash loses the last moments of it.
"""

from __future__ import annotations

import logging
import threading
import time

from appliance import clock, presence
from appliance.errors import FalajError
from appliance.home import Home
from appliance.registry import tokens
from appliance.security.local_token import as_token
from appliance.security.tokens import TokenBook

log = logging.getLogger(__name__)

_ROLE = "tokens"
_LOOK = 0.01
_FLUSH = 20.0


class Doorkeeper:
    """Authorises the requests of one worker."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._book = TokenBook([])
        self._used: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="falaj-tokens", daemon=True)

    def start(self) -> None:
        """Read the tokens, then follow them."""
        self._read(presence.generation(self._home.run_dir))
        self._thread.start()

    def stop(self) -> None:
        """Write down which tokens were used, and leave."""
        self._stop.set()
        self._thread.join(timeout=5.0)
        presence.leave(self._home.run_dir, _ROLE)

    def authorise(self, token: str | None, model: str | None) -> str:
        """The id of the token that may ask this. Raises Unauthenticated or Forbidden."""
        id = self._book.authorise(token, model).id
        self._used[id] = self._used.get(id, 0) + 1
        return id

    def _follow(self) -> None:
        seen, flushed = -1, time.monotonic()
        while not self._stop.wait(_LOOK):
            try:
                stamp = presence.generation(self._home.run_dir)
                if stamp != seen:
                    self._read(stamp)
                    seen = stamp
                if time.monotonic() - flushed > _FLUSH:
                    flushed = time.monotonic()
                    self._flush()
            except FalajError as error:
                log.warning("tokens: %s", error.message)
                self._stop.wait(0.5)
            except Exception:
                log.exception("following the tokens failed")
                self._stop.wait(0.5)
        self._flush()

    def _read(self, stamp: int) -> None:
        every = tokens.every(self._home.registry)
        self._book = TokenBook([*every, as_token(self._home.run_dir)])
        presence.announce(self._home.run_dir, _ROLE, {"seen": stamp})

    def _flush(self) -> None:
        """Add what was counted to telemetry, one row a token and hour."""
        used, self._used = self._used, {}
        if not used:
            return
        at = clock.now()
        with self._home.telemetry.write() as tx:
            for id, requests in used.items():
                tx.execute(
                    "INSERT INTO token_use VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET requests = requests + excluded.requests, last_at = excluded.last_at",
                    (id, at[:13], requests, at),
                )
