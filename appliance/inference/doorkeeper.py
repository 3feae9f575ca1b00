"""Who may ask this worker: the token book, kept fresh, and a count of which tokens were used.

It follows the registry by a thread of its own, so that a token made or revoked is in force within
milliseconds whatever else the worker is doing; `falaj token` waits until every worker has said so.
Use is counted in memory and added to telemetry now and then: a crash loses the last moments of it.
"""

from __future__ import annotations

import time

from appliance import clock, presence
from appliance.home import Home
from appliance.inference.follower import Follower
from appliance.registry import tokens
from appliance.security.local_token import as_token
from appliance.security.refusals import Refusals
from appliance.security.tokens import TokenBook

_ROLE = "tokens"
_FLUSH = 20.0


class Doorkeeper:
    """Authorises the requests of one worker."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._book = TokenBook([])
        self._used: dict[str, int] = {}
        self._refusals = Refusals(home.registry, "endpoint", at_once=False)
        self._flushed = time.monotonic()
        self._follower = Follower("falaj-tokens", home.run_dir, self._look, every=_FLUSH)

    def start(self) -> None:
        """Read the tokens, then follow them."""
        self._look(presence.generation(self._home.run_dir))
        self._follower.start()

    def stop(self) -> None:
        """Leave, and write down which tokens were used."""
        self._follower.stop()
        presence.leave(self._home.run_dir, _ROLE)
        self._flush()
        self._refusals.flush(everything=True)

    def authorise(self, token: str | None, model: str | None) -> str:
        """The id of the token that may ask this. Raises Unauthenticated or Forbidden."""
        id = self._book.authorise(token, model).id
        self._used[id] = self._used.get(id, 0) + 1
        return id

    def refused(self, client: str, status: int) -> None:
        """Count a refused request; `client` is its address and port."""
        self._refusals.add(f"address:{client.rpartition(':')[0].strip('[]')}", status)

    def _look(self, stamp: int) -> None:
        seen = max(stamp, presence.stamp_now())
        every = tokens.every(self._home.registry)
        self._book = TokenBook([*every, as_token(self._home.run_dir)])
        presence.announce(self._home.run_dir, _ROLE, {"seen": seen})
        if time.monotonic() - self._flushed > _FLUSH:
            self._flushed = time.monotonic()
            self._flush()
        self._refusals.flush()

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
