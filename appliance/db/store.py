"""Opening an encrypted SQLite database, and the only way to write to it.

Every connection belongs to one thread. Reads see the last commit; `write()` is BEGIN IMMEDIATE, so
two writers queue instead of failing (a deferred BEGIN that first reads and then writes fails with
"database is locked" whatever the timeout). A write either commits as a whole or leaves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlcipher3

sys.modules.setdefault("pysqlite3", sqlcipher3)  # before sqlite_utils: else it builds on the stdlib's SQLite
from sqlite_utils import Database, Migrations  # noqa: E402

from appliance.db import audit  # noqa: E402
from appliance.errors import Corrupted, FalajError, NoSpace, Overloaded, Unavailable  # noqa: E402

Row = dict[str, Any]
BUSY_MS = 10_000
_NEARLY_FULL = 1 << 20


class Transaction:
    """A running write. Everything done through it commits together, with its audit entries."""

    def __init__(self, db: Database, audit_key: bytes) -> None:
        self._db = db
        self._audit_key = audit_key
        self.audited = False

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return int(self._db.conn.execute(sql, tuple(values)).rowcount)

    def insert(self, table: str, row: Row) -> int:
        """Add one row; its rowid."""
        self._db.table(table).insert(row)
        return int(self._db.conn.execute("SELECT last_insert_rowid()").fetchone()[0])

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return list(self._db.query(sql, list(values)))

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        return next(iter(self.all(sql, values)), None)

    def audit(self, actor: str, action: str, subject: str, detail: Row | None = None) -> None:
        """Append to the audit chain in this same transaction."""
        last = self.one(audit.LAST)
        entry = audit.next_entry(self._audit_key, last, actor, action, subject, detail or {})
        self._db.table("audit").insert(entry)
        self.audited = True


class Store:
    """One database file, opened once per thread."""

    def __init__(
        self, path: Path, key: bytes, audit_key: bytes = b"", synchronous: str = "FULL", create: bool = False
    ) -> None:
        self.path = path
        self._create = create
        self._key = key
        self._audit_key = audit_key
        self._synchronous = synchronous
        self._local = threading.local()

    def _database(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            with _told_plainly(self.path):
                db = self._local.db = self._open()
        return db

    def _open(self) -> Database:
        if not self.path.exists():
            if not self._create:
                raise Corrupted(f"{self.path} is missing.", "Restore it from a backup.")
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlcipher3.connect(str(self.path), isolation_level=None, check_same_thread=False)
        for pragma in (
            f"key = \"x'{self._key.hex()}'\"",  # before anything that touches the file
            f"busy_timeout = {BUSY_MS}",  # before journal_mode, which may have to wait for a lock
            "journal_mode = WAL",
            f"synchronous = {self._synchronous}",
            "foreign_keys = ON",
            "temp_store = MEMORY",  # spilled rows would be plaintext on disk
            f"journal_size_limit = {64 * 1024 * 1024}",
            "wal_autocheckpoint = 400",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return Database(connection, execute_plugins=False)

    def close(self) -> None:
        """Close this thread's connection."""
        db: Database | None = self._local.__dict__.pop("db", None)
        if db is not None:
            db.close()

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""
        with _told_plainly(self.path):
            return list(self._database().query(sql, list(values)))

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        return next(iter(self.all(sql, values)), None)

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write: commits at the end, leaves nothing behind on an error."""
        with _told_plainly(self.path):
            db = self._database()
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                transaction = Transaction(db, self._audit_key)
                yield transaction
                head = transaction.one(audit.LAST) if transaction.audited else None
                db.conn.execute("COMMIT")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise
        if head is not None:
            audit.keep_head(self.path.parent, head)

    def migrate(self, migrations: Migrations) -> None:
        """Apply what is missing, each migration together with its record."""
        with _told_plainly(self.path):
            db = self._database()
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                migrations.apply(db)
                db.conn.execute("COMMIT")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise

    def schema(self) -> str:
        """The schema as SQL, tables and indexes by name."""
        rows = self.all(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '_sqlite%'"
            " ORDER BY type DESC, name"
        )
        return "".join(f"{row['sql']};\n\n" for row in rows)


def dumps(value: Any) -> str:
    """JSON as it is stored in a column: keys in their order, no spaces, text unescaped, no NaN."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@contextlib.contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """SQLite's errors as ours; `sqlcipher3` has an exception tree of its own."""
    try:
        yield
    except sqlcipher3.Error as error:
        raise _plain(error, path) from error


def _plain(error: Exception, path: Path) -> FalajError:
    text = str(error)
    if "full" in text or ("disk I/O" in text and shutil.disk_usage(path.parent).free < _NEARLY_FULL):
        return NoSpace("The disk is full, so nothing was saved.", "Free some space, then try again.")
    if "disk I/O" in text:
        return FalajError(
            f"{path.name} could not be read or written.", "The disk may be failing: back up, check it."
        )
    if "locked" in text or "busy" in text:
        return Overloaded(f"{path.name} is busy.", "Try again in a moment.")
    if "not a database" in text or "malformed" in text:
        return Corrupted(
            f"{path.name} cannot be read.", "Restore it from a backup, or check keys/master.key."
        )
    if "readonly" in text or "unable to open" in text:
        return Unavailable(
            f"{path} cannot be opened for writing.", "Check the permissions of the data directory."
        )
    return FalajError(f"{path.name}: {text}.", "Run: falaj doctor")
