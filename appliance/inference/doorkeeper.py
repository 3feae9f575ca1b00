"""Who may ask this worker: the token book, kept fresh, and a count of which tokens were used.

It follows the registry by a thread of its own, so that a token made or revoked is in force within
milliseconds whatever else the worker is doing; `falaj token` waits until every worker has said so.
"""

from __future__ import annotations

import time

from appliance import presence
from appliance.home import Home
from appliance.inference.follower import Follower
from appliance.registry import tokens
from appliance.security.local_token import as_token
from appliance.security.refusals import Refusals
from appliance.security.token_use import TokenUse
from appliance.security.tokens import TokenBook

_ROLE = "tokens"
_FLUSH = 20.0


class Doorkeeper:
    """Authorises the requests of one worker."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._book = TokenBook([])
        self._use = TokenUse(home.telemetry)
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
        self._use.flush()
        self._refusals.flush(everything=True)

    def authorise(self, token: str | None, model: str | None) -> str:
        """The id of the token that may ask this. Raises Unauthenticated or Forbidden."""
        id = self._book.authorise(token, model).id
        self._use.add(id)
        return id

    def refused(self, client: str, status: int) -> None:
        """Count a refused request; `client` is its address and port, "" on the Unix socket."""
        address = client.rpartition(":")[0].strip("[]")
        self._refusals.add(f"address:{address or 'local'}", status)

    def _look(self, stamp: int) -> None:
        seen = max(stamp, presence.stamp_now())
        every = tokens.every(self._home.registry)
        self._book = TokenBook([*every, as_token(self._home.run_dir)])
        presence.announce(self._home.run_dir, _ROLE, {"seen": seen})
        if time.monotonic() - self._flushed > _FLUSH:
            self._flushed = time.monotonic()
            self._use.flush()
        self._refusals.flush()
