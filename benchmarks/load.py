"""Load for the benchmarks: as much as so many connections can (wrk, or our client), or at a fixed rate."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Question:
    """One request that is sent again and again."""

    port: int
    path: str
    body: str
    token: str

    @property
    def raw(self) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
        return (head + f"Content-Length: {len(self.body.encode())}\r\n\r\n" + self.body).encode()


@dataclass(frozen=True)
class Measured:
    """Requests a second, and milliseconds that half and 99 % of them took at most."""

    rate: float
    p50: float
    p99: float
    failed: int = 0


def saturate(question: Question, connections: int, seconds: float) -> Measured:
    """Each connection asks again as soon as it is answered. Ends the program when an answer isn't 200."""
    if shutil.which("wrk"):
        return _wrk(question, connections, seconds)
    return asyncio.run(_own_client(question, connections, seconds))


def pace(question: Question, rate: float, seconds: float, connections: int = 32) -> Measured:
    """So many requests a second whatever happens; a time counts from when a request was due (open loop)."""
    return asyncio.run(_paced(question, rate, seconds, connections))


def _wrk(question: Question, connections: int, seconds: float) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            f"wrk.method='POST'\nwrk.body={json.dumps(question.body)}\n"
            f"wrk.headers['Authorization']='Bearer {question.token}'\n"
            "wrk.headers['Content-Type']='application/json'\n"
        )
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(script),
             f"http://127.0.0.1:{question.port}{question.path}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in done or "Socket errors" in done:
        raise SystemExit(done)
    return Measured(
        float(_found(r"Requests/sec:\s+([\d.]+)", done)[1]), *(_percent(done, at) for at in (50, 99))
    )


def _percent(told: str, at: int) -> float:
    found = _found(rf"^\s+{at}%\s+([\d.]+)(us|ms|s)", told)
    return float(found[1]) * _UNITS[found[2]]


def _found(pattern: str, told: str) -> re.Match[str]:
    found = re.search(pattern, told, re.MULTILINE)
    if found is None:
        raise SystemExit(told)
    return found


async def _own_client(question: Question, connections: int, seconds: float) -> Measured:
    raw, until, times = question.raw, time.perf_counter() + seconds, []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", question.port)
        while (begun := time.perf_counter()) < until:
            await _ask(reader, writer, raw)
            times.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return _summary(times, len(times) / seconds)


async def _paced(question: Question, rate: float, seconds: float, connections: int) -> Measured:
    raw, times, free = question.raw, [], asyncio.Queue[Any]()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", question.port))

    async def one(due: float) -> None:
        reader, writer = await free.get()
        await _ask(reader, writer, raw)
        times.append(time.perf_counter() - due)
        free.put_nowait((reader, writer))

    begun, tasks = time.perf_counter() + 0.05, []
    for number in range(round(rate * seconds)):
        due = begun + number / rate
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return _summary(times, rate)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> None:
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if not head.startswith(b"HTTP/1.1 200") or length is None:
        raise SystemExit(f"not answered: {head!r}")
    await reader.readexactly(int(length[1]))


def _summary(times: list[float], rate: float) -> Measured:
    cuts = statistics.quantiles(times, n=100)
    return Measured(rate, cuts[49] * 1e3, cuts[98] * 1e3)
