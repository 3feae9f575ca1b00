"""A worker's sign of life: every few seconds it answers a row whose answer is known.

By way of its event loop and its Plane, so that a stuck loop, a stuck runtime and a wrong answer are all seen:
then the sign does not come, or says what was wrong, and the parent replaces the process (daemon/vigil.py).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

from appliance import presence
from appliance.errors import FalajError
from appliance.inference.plane import Plane

log = logging.getLogger(__name__)

ROLE = "proof"
_EVERY = 2.0


class Pulse:
    """`start` is called with the loop that answers; its models are proven in turn."""

    def __init__(self, run_dir: Path, plane: Plane) -> None:
        self._run_dir = run_dir
        self._plane = plane
        self._turn = 0
        self._stop = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread(target=self._beat, args=(loop,), name="falaj-pulse", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        presence.leave(self._run_dir, ROLE)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        wrong: dict[str, str] = {}
        while not self._stop.is_set() and not wrong:
            try:
                wrong = self._prove(loop)
                self._tell(wrong)
            except RuntimeError:  # the loop has ended
                return
            except Exception:  # tmpfs is full, say: whoever waits for the sign decides
                log.exception("no sign of life could be given")
            self._stop.wait(_EVERY)

    def _tell(self, wrong: dict[str, str]) -> None:
        if self._stop.is_set():
            return
        try:
            if not wrong:
                presence.touch(self._run_dir, ROLE)
                return
        except FileNotFoundError:  # the first time
            pass
        presence.announce(self._run_dir, ROLE, {"wrong": wrong})

    def _prove(self, loop: asyncio.AbstractEventLoop) -> dict[str, str]:
        """What is wrong, by version; blocks for as long as the loop or the runtime does."""
        models = self._plane.models()
        self._turn += 1
        model = models[self._turn % len(models)] if models else ""
        try:
            quick = bool(model) and self._plane.current(model).inline_rows > 0
            version = f"{model}:{self._plane.version(model)}"

            async def on_the_loop() -> str:
                return self._plane.prove(model) if quick else ""

            why = asyncio.run_coroutine_threadsafe(on_the_loop(), loop).result()
            if model and not quick:  # as for requests: a slow one may not hold the loop
                why = self._plane.prove(model)
        except FalajError:  # it was undeployed just now
            return {}
        if why:
            log.error("%s answers a known row wrongly: %s", version, why)
        return {version: f"it answered a known row wrongly: {why}"} if why else {}
