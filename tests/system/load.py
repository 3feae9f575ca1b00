"""`python -m tests.system.load PORT TOKEN MODEL OUT`: 32 connections that ask until stdin ends.

Every eighth connection asks for many rows at once, so that some request is always in flight. What came of
each request is written to OUT then: a list of answers and one of failures, times on the monotonic clock that
all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

CONNECTIONS, MANY = 32, 400
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One request on a connection (its local port, and when it was opened)."""

    port: int
    opened: float
    begun: float
    ended: float
    version: int = 0
    values: tuple[float, ...] = ()  # the different ones; all rows are the same
    failure: str = ""


@dataclass
class Load:
    """What all connections share."""

    port: int
    head: str
    done: list[Request]
    stopping: bool = False

    async def ask(self, rows: int) -> None:
        """One connection after another, each for as long as it works."""
        body = json.dumps({"rows": [{"x": 100}] * rows})
        request = f"{self.head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        while not self.stopping:
            opened = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            own = writer.get_extra_info("sockname")[1]
            failure, last = "", False
            while not (self.stopping or failure or last):
                begun = time.monotonic()
                version, values = 0, ()
                try:
                    writer.write(request)
                    version, values, last = await _answer(reader)
                except (OSError, EOFError, ValueError) as error:
                    failure = repr(error)
                self.done.append(Request(own, opened, begun, time.monotonic(), version, values, failure))
            writer.close()

    async def run(self) -> None:
        asyncio.get_running_loop().add_reader(sys.stdin, self._stop)
        await asyncio.gather(*(self.ask(1 if number % 8 else MANY) for number in range(CONNECTIONS)))

    def _stop(self) -> None:
        self.stopping = self.stopping or not sys.stdin.read(1)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, tuple[float, ...], bool]:
    """(version, values, whether it is the connection's last); ValueError for anything but 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = _LENGTH.search(head)
    body = await reader.readexactly(int(found[1]) if found else 0)
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head[:40] + body[:400])
    told = json.loads(body)
    values = tuple({one["value"] for one in told["predictions"]})
    return told["version"], values, b"connection: close" in head.lower()


def main() -> None:
    port, token, model, out = sys.argv[1:]
    head = f"POST /predict/{model} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    load = Load(int(port), head, [])
    asyncio.run(load.run())
    Path(out).write_text(json.dumps([asdict(request) for request in load.done]))


if __name__ == "__main__":
    main()
