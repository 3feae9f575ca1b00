"""The one Huey queue: it carries job ids and nothing else, and may be lost at any time.

`queue.db` is emptied at every start of the worker. Huey deletes a message before it runs it, so a
message is only a wake-up call: retries, results and timeouts are the ledger's, not Huey's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

log = logging.getLogger(__name__)


class _JsonSerializer(Serializer):  # type: ignore[misc]
    """Messages as JSON lists. Huey's own default is pickle, which we never load."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(list(data)).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(data))


class Broken(Exception):
    """queue.db is no database any more: throw it away and begin again."""


class Queue:
    """Wakes workers. `run` is what a worker does with a job id; the admin role has none.

    Raises Broken when the file is no queue any more.
    """

    def __init__(self, path: Path, run: Callable[[str], None] | None = None) -> None:
        try:
            self._huey = SqliteHuey(
                "jobs",
                filename=str(path),
                results=False,
                store_none=False,
                utc=True,
                serializer=_JsonSerializer(),
                fsync=False,
            )
        except sqlite3.DatabaseError as error:
            raise Broken(f"queue.db is broken ({error})") from error
        self._consumer: Consumer | None = None

        def run_job(
            job: str,
        ) -> None:  # one function here, so that its registered name is the same everywhere
            (run or _not_here)(job)

        self._task = self._huey.task(retries=0)(run_job)

    def wake(self, job: str) -> None:
        """Tell some worker that this job waits. A lost call only delays it to the next round.

        Raises Broken when the file is no queue any more.
        """
        try:
            self._task(job)
        except sqlite3.Error as error:
            _raise_if_broken(error)
            log.warning("job %s waits for the next round: queue.db: %s", job, error)

    def is_empty(self) -> bool:
        """Whether no wake-up call waits. Raises Broken when the file is no queue any more."""
        try:
            return int(self._huey.pending_count()) == 0
        except sqlite3.Error as error:
            _raise_if_broken(error)
            return False

    def serve(self, threads: int) -> None:
        """The worker's loop: blocks until SIGTERM or SIGINT and until the running jobs were given back."""
        self._consumer = self._huey.create_consumer(
            workers=threads,
            worker_type="thread",
            periodic=False,
            initial_delay=0.05,
            max_delay=0.5,
            backoff=1.2,
            graceful_signal="TERM",
        )
        self._consumer.run()

    def trouble(self) -> str:
        """Why no job is taken up; "" when they are."""
        return "" if self._consumer is not None else "the queue is not read yet"

    def is_stopping(self) -> bool:
        """Whether the loop was told to end; running jobs are then given back."""
        return self._consumer is not None and bool(self._consumer.stop_flag.is_set())


def empty(path: Path) -> None:
    """Forget all messages; the ledger knows what waits. A file that is no database any more is replaced."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0)) as connection:
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall():
                connection.execute(f'DELETE FROM "{table}"')
            connection.commit()
    except sqlite3.OperationalError as error:  # busy or full: old messages do no harm
        log.warning("queue.db was not emptied: %s", error)
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def fault(path: Path) -> str:
    """What is wrong with the file; empty when nothing is, or when it isn't there yet."""
    if not path.exists():
        return ""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.OperationalError:  # busy, or not to be read just now
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if verdict == "ok" else str(verdict)


def _raise_if_broken(error: sqlite3.Error) -> None:
    """A busy file or a disk that takes nothing passes; anything else is a file that will never work again."""
    if not any(word in str(error) for word in ("locked", "full", "readonly", "unable to open")):
        raise Broken(f"queue.db is broken ({error})") from error


def _not_here(job: str) -> None:
    raise RuntimeError(f"job {job} was woken in a process that runs no jobs")
