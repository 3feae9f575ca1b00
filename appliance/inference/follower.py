"""A thread that looks at the registry whenever it has changed, and now and then in any case."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from appliance import presence
from appliance.errors import FalajError

log = logging.getLogger(__name__)

_LOOK = 0.02
_AGAIN = 0.5


class Follower:
    """Calls `look(stamp)` for every new stamp of `presence.poke`, and at least every `every` seconds.

    What `look` raises is logged, once for the same words, and tried again: a follower never gives up.
    """

    def __init__(self, name: str, run_dir: Path, look: Callable[[int], None], every: float) -> None:
        self._run_dir = run_dir
        self._look = look
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        self._stop.set()
        self._thread.join(timeout=seconds)

    def _follow(self) -> None:
        seen, looked, said = -1, 0.0, ""
        while not self._stop.wait(_LOOK):
            now, stamp = time.monotonic(), presence.generation(self._run_dir)
            if stamp == seen and now - looked < self._every:
                continue
            try:
                self._look(stamp)
                seen, looked, said = stamp, now, ""
            except FalajError as error:
                if error.message != said:
                    log.warning("%s: %s", self._thread.name, error.message)
                said = error.message
                self._stop.wait(_AGAIN)
            except Exception:
                log.exception("%s failed", self._thread.name)
                self._stop.wait(_AGAIN)
