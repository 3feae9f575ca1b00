"""Request bodies: read under a deadline and a size cap, held under a memory budget.

The server below has no body timeout, so a client could hold a half-sent body open for ever. Every reading
task stands in one table with its start; a sweep on the event loop cancels those that are too old. That costs
a dict entry a request; a timer each (`wait_for`) costs a tenth of the whole request.

A body larger than SMALL counts in the budget from its first byte until `release`: whoever got it from `read`
calls that once nothing holds it any more, which is long after the reading when it waits for a pool thread.
"""

from __future__ import annotations

import asyncio
from threading import Lock
from time import perf_counter
from typing import Any

from appliance.errors import BadInput, FalajError, Overloaded, TooLarge

SMALL = 64 * 1024  # bytes read in one piece; larger or unsized bodies are read and counted chunk by chunk
BUDGET_BODIES = 8  # so many bodies of the largest size may be in memory at once


class BodyTooSlow(FalajError):
    """408: the body did not arrive in time."""

    status = 408


class Gone(Exception):
    """The client hung up; there is nobody to answer."""


class BodyReader:
    """Reads bodies for one event loop; `seconds` a body may take, `limit` bytes it may have."""

    def __init__(self, seconds: float, limit: int) -> None:
        self.seconds = seconds
        self.limit = limit
        self._reading: dict[asyncio.Task[Any], float] = {}  # in order of their start
        self._held = 0  # bytes of bodies being read in chunks, and of those larger than SMALL until released
        self._lock = Lock()  # of _held: pool threads release

    async def read(self, proto: Any, length: str | None, begun: float) -> bytes:
        """The whole body. `length`: the Content-Length header; `begun`: perf_counter at the request's start.

        One larger than SMALL stays in the budget until `release(len(body))`.
        Raises TooLarge, BodyTooSlow, Overloaded (memory budget), BadInput (bad length), Gone.
        """
        size = self._size(length)
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        self._reading[task] = begun
        try:
            if 0 <= size <= SMALL:
                body: bytes = await proto()
                return body
            return await self._read_chunks(proto)
        except asyncio.CancelledError:
            if perf_counter() - begun < self.seconds:
                raise  # the server stops, or the client is gone
            task.uncancel()
            raise BodyTooSlow(
                "The request body did not arrive in time.",
                f"Send it within {self.seconds:g} seconds, or in smaller requests.",
            ) from None
        except FalajError:
            raise
        except Exception as error:  # the server's own classes for a broken or ended connection
            raise Gone from error
        finally:
            del self._reading[task]

    def _size(self, length: str | None) -> int:
        if length is None:
            return -1
        if not (length.isascii() and length.isdigit()):
            raise BadInput(
                "The Content-Length header is not a number.", "Send the size of the body in bytes."
            )
        size = int(length[:20])
        if size > self.limit:
            raise self._too_large(size)
        return size

    async def _read_chunks(self, proto: Any) -> bytes:
        chunks: list[bytes] = []
        size = 0
        kept = False
        try:
            async for chunk in proto:
                size += len(chunk)
                held = self._hold(len(chunk))
                chunks.append(chunk)
                if size > self.limit:
                    raise self._too_large(size)
                if held > self.limit * BUDGET_BODIES:
                    raise Overloaded("Too many large requests at once.", "Try again in a moment.")
            body = b"".join(chunks)
            kept = size > SMALL
            return body
        finally:
            if not kept:
                self._hold(-size)

    def _hold(self, size: int) -> int:
        with self._lock:
            self._held += size
            return self._held

    def release(self, size: int) -> None:
        """A body of `size` bytes, got from `read`, is held by nobody any more; from any thread."""
        if size > SMALL:
            self._hold(-size)

    def _too_large(self, size: int) -> TooLarge:
        limit = self.limit / (1024 * 1024)
        return TooLarge(f"The request body is larger than {limit:g} MiB.", "Send fewer rows in each request.")

    async def sweep(self) -> None:
        """Cancel readers past their deadline, until cancelled; runs beside the requests on their loop."""
        pause = min(1.0, max(0.02, self.seconds / 20))
        while True:
            await asyncio.sleep(pause)
            oldest = perf_counter() - self.seconds
            for task, begun in list(self._reading.items()):
                if begun > oldest:
                    break
                task.cancel()
