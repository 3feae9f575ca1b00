"""Opening an encrypted SQLite database, and the only way to write to it.

Every connection belongs to one thread. Reads see the last commit; `write()` is BEGIN IMMEDIATE, so
two writers queue instead of failing (a deferred BEGIN that first reads and then writes fails with
"database is locked" whatever the timeout). A write either commits as a whole or leaves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlcipher3

sys.modules.setdefault("pysqlite3", sqlcipher3)  # before sqlite_utils: else it builds on the stdlib's SQLite
from sqlite_utils import Database, Migrations  # noqa: E402

from appliance.db import audit, mishap  # noqa: E402
from appliance.db.mishap import Mishap, Note  # noqa: E402
from appliance.errors import Corrupted, FalajError, Overloaded  # noqa: E402

Row = dict[str, Any]
BUSY_MS = 10_000
_PROOF_BUSY_MS = 200  # nobody waits long for the state of things
_PROOF_PAUSE = 1.0  # seconds from one proof to the next, or this many times what the last one took:
_PROOF_SHARE = 20.0


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
    """One database file, opened once per thread. `notes`: the folder where a mishap with it is noted."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        audit_key: bytes = b"",
        synchronous: str = "FULL",
        create: bool = False,
        notes: Path | None = None,
    ) -> None:
        self.path = path
        self._create = create
        self._key = key
        self._audit_key = audit_key
        self._synchronous = synchronous
        self._local = threading.local()
        self._note = Note(notes, path.stem)
        self._proof = threading.Lock()
        self._next_proof = 0.0

    def _database(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            with self._told_plainly():
                self._local.passing = not os.access(self.path, os.W_OK)
                db = self._local.db = self._open()
        return db

    def _open(self, busy_ms: int | None = None) -> Database:
        if not self.path.exists():
            if not self._create:
                self._note.leave(Mishap.DAMAGED)
                raise Corrupted(f"{self.path} is missing.", "Restore it from a backup.")
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlcipher3.connect(str(self.path), isolation_level=None, check_same_thread=False)
        for pragma in (
            f"key = \"x'{self._key.hex()}'\"",  # before anything that touches the file
            "cipher_log_level = NONE",  # several lines for each page that can't be read; we say it ourselves
            f"busy_timeout = {busy_ms or BUSY_MS}",  # before journal_mode, which may have to wait for a lock
            "journal_mode = WAL",
            f"synchronous = {self._synchronous}",
            "foreign_keys = ON",
            "temp_store = MEMORY",  # spilled rows would be plaintext on disk
            f"journal_size_limit = {64 * 1024 * 1024}",
            "wal_autocheckpoint = 400",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return Database(connection, execute_plugins=False)

    def unnoted(self) -> Store:
        """The same file for a look that leaves no note of a mishap."""
        return Store(self.path, self._key, self._audit_key, self._synchronous)

    def close(self) -> None:
        """Close this thread's connection."""
        db: Database | None = self._local.__dict__.pop("db", None)
        if db is not None:
            db.close()

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""
        with self._told_plainly():
            rows = list(self._database().query(sql, list(values)))
        if self._local.passing:  # see `_begun`
            self.close()
        return rows

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        return next(iter(self.all(sql, values)), None)

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that may write: commits at the end, leaves nothing behind on an error."""
        with self._told_plainly(), self._whole(self._begun()) as transaction:
            yield transaction

    @contextlib.contextmanager
    def _whole(self, db: Database) -> Iterator[Transaction]:
        """What has begun there, committed at the end or undone."""
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

    def _begun(self) -> Database:
        """This thread's connection, in a transaction.

        One that was opened while nothing could be written stays read-only for good, and makes those of other
        threads so (they share its -shm): it is never kept, and opened anew where it is still there.
        """
        db = self._database()
        try:
            db.conn.execute("BEGIN IMMEDIATE")
        except sqlcipher3.Error as error:
            if mishap.judge(str(error), self.path) is not Mishap.SHUT:
                raise
            self.close()
            db = self._database()
            db.conn.execute("BEGIN IMMEDIATE")
        return db

    def migrate(self, migrations: Migrations) -> None:
        """Apply what is missing, each migration together with its record."""
        with self.migrated(migrations):
            pass

    @contextlib.contextmanager
    def migrated(self, migrations: Migrations) -> Iterator[Transaction]:
        """Apply what is missing; it is kept when the block ends, and undone when that fails."""
        with self._told_plainly():
            db = self._database()
            db.conn.execute("BEGIN IMMEDIATE")
            with self._whole(db) as transaction:
                migrations.apply(db)
                yield transaction

    def applied(self, migrations: Migrations) -> list[str]:
        """The names of the migrations that the file has had, also of those that this program lacks."""
        with self._told_plainly():
            return [one.name for one in migrations.applied(self._database())]

    def copy_to(self, path: Path) -> None:
        """Write what is committed to a new file under the same key, while others go on writing here."""
        copy = Store(path, self._key, create=True)
        with self._told_plainly(), contextlib.closing(copy._open()) as target:
            self._database().conn.backup(target.conn)

    def faults(self) -> str:
        """What SQLite finds wrong with the file or between its tables; nothing when all is well."""
        pages = [str(next(iter(row.values()))) for row in self.all("PRAGMA quick_check(1)")]
        if pages != ["ok"]:
            return pages[0]
        broken = sorted({str(row["table"]) for row in self.all("PRAGMA foreign_key_check")})
        return f"rows of {', '.join(broken)} refer to what is not there" if broken else ""

    def mishap(self) -> Mishap | None:
        """What is wrong with the file, as some process has met it; None once it is proven well again."""
        noted = self._note.read()
        if noted is None or time.monotonic() < self._next_proof or not self._proof.acquire(blocking=False):
            return noted
        began = time.monotonic()
        try:
            if self._is_well():
                self._note.remove()
                return None
            return self._note.read()
        finally:
            took = time.monotonic() - began
            self._next_proof = time.monotonic() + max(_PROOF_PAUSE, _PROOF_SHARE * took)
            self._proof.release()

    def _is_well(self) -> bool:
        """Whether a new connection can read every page and commit a real write."""
        try:
            with self._told_plainly(), contextlib.closing(self._open(_PROOF_BUSY_MS)) as db:
                if db.conn.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    self._note.leave(Mishap.DAMAGED)
                    return False
                version = db.conn.execute("PRAGMA user_version").fetchone()[0]
                db.conn.execute(f"PRAGMA user_version = {version}")  # writes page 1, and changes nothing
        except FalajError:
            return False
        return True

    @contextlib.contextmanager
    def _told_plainly(self) -> Iterator[None]:
        """SQLite's errors as ours; `sqlcipher3` has an exception tree of its own."""
        try:
            yield
        except sqlcipher3.Error as error:
            found = mishap.judge(str(error), self.path)
            if found is not None:
                self._note.leave(found)
            if found in (Mishap.SHUT, Mishap.DAMAGED):
                self.close()  # see `_begun`; SQLCipher goes on to fail where it failed once
            raise _plain(found, error, self.path) from error

    def schema(self) -> str:
        """The schema as SQL, tables and indexes by name."""
        rows = self.all(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '_sqlite%'"
            " ORDER BY type DESC, name"
        )
        return "".join(f"{row['sql']};\n\n" for row in rows)


def known(kind: type[Any], row: Row) -> Row:
    """The columns that a dataclass has: beside an upgrade, a program reads rows that have more."""
    return {name: row[name] for name in kind.__dataclass_fields__ if name in row}


def dumps(value: Any) -> str:
    """JSON as it is stored in a column: keys in their order, no spaces, text unescaped, no NaN."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(found: Mishap | None, error: Exception, path: Path) -> FalajError:
    if found is not None:
        return mishap.told(found, path)
    text = str(error)
    if "locked" in text or "busy" in text:
        return Overloaded(f"{path.name} is busy.", "Try again in a moment.")
    return FalajError(f"{path.name}: {text}.", "Run: falaj doctor")
