"""Sign-ins as rows: a session can be seen and ended from anywhere, and only its secret's digest is kept."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.db import Row, Store, Transaction
from appliance.errors import NotFound

MOST = 20  # sessions of one user; the oldest ends when one more begins


@dataclass(frozen=True)
class Session:
    """One browser that signed in. `address` and `browser` are what it said of itself then."""

    id: str
    digest: str
    user: str
    address: str
    browser: str
    created_at: str
    seen_at: str
    expires_at: str

    def summary(self) -> Row:
        """Everything but the digest."""
        row = dict(vars(self))
        row["session"] = row.pop("id")
        del row["digest"]
        return row


def add(tx: Transaction, session: Session) -> None:
    """Begin a session; expired ones, and the oldest of too many, go (by the order in which they began: after
    the wall clock was set back, the newest would pass for the oldest).
    """
    tx.execute("DELETE FROM sessions WHERE expires_at <= ?", (session.created_at,))
    tx.insert("sessions", vars(session))
    tx.execute(
        "DELETE FROM sessions WHERE user = ? AND id NOT IN"
        " (SELECT id FROM sessions WHERE user = ? ORDER BY rowid DESC LIMIT ?)",
        (session.user, session.user, MOST),
    )


def find_by_digest(store: Store, digest: str) -> Session | None:
    row = store.one("SELECT * FROM sessions WHERE digest = ?", (digest,))
    return Session(**row) if row else None


def find(store: Store | Transaction, id: str) -> Session:
    row = store.one("SELECT * FROM sessions WHERE id = ?", (id,))
    if row is None:
        raise NotFound(f"There is no session '{id[:40]}'.", "See what there is with: falaj session ls")
    return Session(**row)


def every(store: Store | Transaction, user: str | None = None) -> list[Session]:
    """All sessions (of one user), newest first."""
    rows = store.all("SELECT * FROM sessions WHERE user = coalesce(?, user) ORDER BY rowid DESC", (user,))
    return [Session(**row) for row in rows]


def seen(tx: Transaction, id: str, at: str) -> None:
    tx.execute("UPDATE sessions SET seen_at = ? WHERE id = ?", (at, id))


def end(tx: Transaction, id: str) -> None:
    tx.execute("DELETE FROM sessions WHERE id = ?", (id,))


def end_all(tx: Transaction, user: str, but: str | None = None) -> int:
    """End every session of a user, but for the one in which they act; how many there were."""
    return tx.execute("DELETE FROM sessions WHERE user = ? AND id IS NOT ?", (user, but))
