"""The queue carries job ids as JSON, never loads a pickle, and may be lost or broken at any time."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from huey.registry import Message

from appliance.jobs import queue
from appliance.jobs.queue import Broken, Queue
from tests.conftest import ROOT
from tests.unit.jobs.conftest import wait_until

WORKER = """
import signal, sys
from pathlib import Path
from appliance.jobs.queue import Queue
def run(job):
    print(job, flush=True)
queue = Queue(Path(sys.argv[1]), run)
print("ready", flush=True)
queue.serve(2)
print("stopped", flush=True)
"""


class _Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self._path, "w")


def _messages(path: Path) -> list[bytes]:
    connection = sqlite3.connect(path)
    try:
        return [bytes(data) for (data,) in connection.execute("SELECT data FROM task ORDER BY id")]
    finally:
        connection.close()


def _put(path: Path, data: bytes) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO task (queue, data, priority) VALUES ('jobs', ?, 9)", (data,))
    connection.commit()
    connection.close()


def test_a_message_is_a_json_list_with_the_job_id(tmp_path: Path) -> None:
    Queue(tmp_path / "queue.db").wake("abc123")
    (data,) = _messages(tmp_path / "queue.db")
    assert "abc123" in json.dumps(json.loads(data))
    assert b"run_job" in data


def test_messages_come_back_as_they_went() -> None:
    serializer = queue._JsonSerializer()
    message = Message("id", "name", None, 0, 0, 9.5, ["job"], {}, None, None, None, None, None, None, None)
    assert serializer.deserialize(serializer.serialize(message)) == message


def test_a_pickle_in_the_queue_is_never_loaded(tmp_path: Path) -> None:
    """Whoever can write queue.db still can't run code; the queue goes on behind such a message."""
    path, planted = tmp_path / "queue.db", tmp_path / "planted"
    queue_ = Queue(path)
    bomb = pickle.dumps(_Bomb(str(planted)))
    pickle.loads(bomb).close()  # noqa: S301 - shows that it would work
    assert planted.exists()
    planted.unlink()
    _put(path, bomb)
    queue_.wake("after-the-bomb")
    ran = _serve_until(path, "after-the-bomb")
    assert ran == ["after-the-bomb"]
    assert not planted.exists()
    assert _messages(path) == []


def _listens_to(pid: int, signum: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


def _serve_until(path: Path, wanted: str) -> list[str]:
    """What a real consumer ran, up to `wanted`; then it is told to stop, and does."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as worker:
        assert worker.stdout is not None
        lines: list[str] = []
        for line in worker.stdout:
            lines.append(line.strip())
            if line.strip() == wanted:
                break
        while not _listens_to(worker.pid, signal.SIGTERM):  # a job may run before Huey's handlers are there
            time.sleep(0.01)
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=10)
    assert rest.strip().splitlines() == ["stopped"]
    assert worker.returncode == 0
    return lines[1:]


def test_a_process_without_work_to_do_only_wakes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The admin role never runs a job, even if its queue were asked to."""
    admin = Queue(tmp_path / "queue.db")
    admin.wake("job")
    task = admin._huey.dequeue()
    with caplog.at_level(logging.CRITICAL):
        admin._huey.execute(task)
    assert admin.is_empty()
    assert not admin.is_stopping()


def test_emptying_forgets_all_messages(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    made = Queue(path)
    for number in range(3):
        made.wake(str(number))
    assert not made.is_empty()
    queue.empty(path)
    assert made.is_empty()


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_broken_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    path.with_name("queue.db-wal").write_bytes(b"rubbish")
    queue.empty(path)
    made = Queue(path)
    made.wake("again")
    assert not made.is_empty()


def test_a_file_that_was_cut_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    first = Queue(path)
    for number in range(300):
        first.wake(str(number))
    first._huey.storage.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = path.read_bytes()
    assert len(content) > 20_000
    path.write_bytes(content[:9000])
    queue.empty(path)
    made = Queue(path)
    made.wake("again")
    assert len(_messages(path)) == 1


def test_a_broken_queue_is_told_as_such(tmp_path: Path) -> None:
    """The worker then begins a new one; the job is in the ledger by then, and is found there."""
    path = tmp_path / "queue.db"
    made = Queue(path)
    made._huey.storage.close()
    path.unlink()
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Broken, match="not a database"):
        made.wake("abc")
    with pytest.raises(Broken):
        made.is_empty()


def test_a_busy_queue_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The job is in the ledger by then; the worker's next round finds it."""
    made = Queue(tmp_path / "queue.db")
    made._huey.storage.conn.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING, "appliance.jobs.queue"):
        made.wake("abc")
    other.close()
    assert "abc waits for the next round" in caplog.text


def test_waking_from_many_threads_loses_nothing(tmp_path: Path) -> None:
    made = Queue(tmp_path / "queue.db")
    threads = [threading.Thread(target=made.wake, args=(str(number),)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(_messages(tmp_path / "queue.db")) == 16)
