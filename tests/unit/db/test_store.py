"""The store: encrypted on disk, writers queue, a failed write leaves nothing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from appliance.db import Store
from appliance.db.migrations import registry, telemetry
from appliance.errors import Corrupted, FalajError, NoSpace
from tests.conftest import ROOT

KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "registry.db", KEY, b"audit key", create=True)
    made.migrate(registry)
    return made


@pytest.mark.parametrize(("name", "migrations"), [("registry", registry), ("telemetry", telemetry)])
def test_all_migrations_together_give_the_golden_schema(
    tmp_path: Path, name: str, migrations: object
) -> None:
    store = Store(tmp_path / "x.db", KEY, create=True)
    store.migrate(migrations)  # type: ignore[arg-type]
    golden = (ROOT / "appliance" / "db" / f"{name}.sql").read_text()
    assert golden.partition("\n\n")[2] == store.schema()


def test_migrating_again_changes_nothing(store: Store) -> None:
    before = store.schema()
    store.migrate(registry)
    assert store.schema() == before


def test_nothing_readable_lies_on_the_disk(store: Store, tmp_path: Path) -> None:
    with store.write() as tx:
        tx.audit("someone", "secret.word", "xyzzy-plugh")
    content = b"".join(
        path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("registry.db")
    )
    assert b"xyzzy-plugh" not in content
    assert b"SQLite format" not in content


def test_a_wrong_key_is_told_plainly(store: Store, tmp_path: Path) -> None:
    store.close()
    with pytest.raises(Corrupted, match=r"registry\.db cannot be read"):
        Store(tmp_path / "registry.db", b"x" * 32).all("SELECT 1 FROM audit")


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    def write_and_fail() -> None:
        with store.write() as tx:
            tx.audit("me", "first", "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.all("SELECT * FROM audit") == []
    with store.write() as tx:
        tx.audit("me", "second", "x")
    assert [row["seq"] for row in store.all("SELECT seq FROM audit")] == [1]


def test_a_full_disk_is_told_as_such(store: Store) -> None:
    pages = store.one("PRAGMA page_count")
    assert pages is not None
    store.all(f"PRAGMA max_page_count = {pages['page_count'] + 2}")
    with pytest.raises(NoSpace), store.write() as tx:
        tx.audit("me", "too much", "x" * 200_000)
    assert store.all("SELECT * FROM audit") == []


WRITER = """
import sys
import time
from pathlib import Path
from appliance.db import Store

store = Store(Path(sys.argv[1]), bytes(range(32)), b"audit key")
begin = sys.argv[2]
failed = 0
for _ in range(60):
    db = store._database()
    try:
        db.conn.execute(begin)
        row = list(db.query("SELECT coalesce(max(bytes), 0) AS n FROM blobs"))[0]
        time.sleep(0.002)
        db.conn.execute("INSERT INTO blobs VALUES (lower(hex(randomblob(16))), ?, 'x')", (row["n"] + 1,))
        db.conn.execute("COMMIT")
    except Exception:
        failed += 1
        if db.conn.in_transaction:
            db.conn.execute("ROLLBACK")
print(failed)
"""


def _writers(path: Path, begin: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), begin]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    return sum(int(process.communicate(timeout=60)[0]) for process in running)


def test_writers_queue_and_with_a_deferred_begin_they_would_not(store: Store, tmp_path: Path) -> None:
    """Teeth: the same writers with a plain BEGIN do fail, so IMMEDIATE is what makes the difference."""
    assert _writers(tmp_path / "registry.db", "BEGIN IMMEDIATE") == 0
    row = store.one("SELECT count(*) AS n, max(bytes) AS top FROM blobs")
    assert row == {"n": 180, "top": 180}
    assert _writers(tmp_path / "registry.db", "BEGIN") > 0


def test_every_thread_has_its_own_connection(store: Store) -> None:
    wrong: list[str] = []

    def use() -> None:
        try:
            for _ in range(20):
                with store.write() as tx:
                    tx.audit("thread", "go", "x")
        except FalajError as error:
            wrong.append(error.message)
        finally:
            store.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.all("SELECT * FROM audit")) == 80
