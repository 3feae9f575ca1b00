"""People who may sign in. A password is kept as its argon2id hash only."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from appliance import clock
from appliance.db import Row, Store, Transaction
from appliance.errors import Conflict, NotFound


@dataclass(frozen=True)
class User:
    """One person. `must_change`: the password is one that somebody else has seen."""

    name: str
    role: str
    password: str
    must_change: bool
    password_at: str
    seen_at: str | None
    created_at: str
    created_by: str

    def summary(self) -> Row:
        """Everything but the password's hash."""
        row = dict(vars(self))
        del row["password"]
        return row


def find(store: Store | Transaction, name: str) -> User:
    found = find_or_none(store, name)
    if found is None:
        raise NotFound(f"There is no user '{name[:100]}'.", "See who there is with: falaj user ls")
    return found


def find_or_none(store: Store | Transaction, name: str) -> User | None:
    row = store.one("SELECT * FROM users WHERE name = ?", (name,))
    return _from_row(row) if row else None


def find_typed(store: Store | Transaction, typed: str) -> User | None:
    """The user whose name somebody typed, in capitals or not."""
    wanted = folded(typed)
    return next((user for user in every(store) if user.name.casefold() == wanted), None)


def folded(typed: str) -> str:
    """What all spellings of one name have in common."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def every(store: Store | Transaction) -> list[User]:
    return [_from_row(row) for row in store.all("SELECT * FROM users ORDER BY name")]


def there_are_any(store: Store | Transaction) -> bool:
    """Whether somebody has been set up: the pages open then."""
    return store.one("SELECT 1 FROM users LIMIT 1") is not None


def add(tx: Transaction, name: str, role: str, password: str, must_change: bool, by: str) -> None:
    """Raises Conflict when there is a user of that name."""
    taken = find_typed(tx, name)
    if taken is not None:
        raise Conflict(f"There is a user '{taken.name}' already.", "Choose another name.")
    at = clock.now()
    tx.insert("users", vars(User(name, role, password, must_change, at, None, at, by)))
    if tx.one("SELECT 1 FROM users WHERE role = 'admin' LIMIT 1") is None:
        raise Conflict("The first user must be an admin.", "Add an admin first, or set the page up.")


def set_role(tx: Transaction, name: str, role: str) -> None:
    find(tx, name)
    tx.execute("UPDATE users SET role = ? WHERE name = ?", (role, name))
    _keep_an_admin(tx)


def set_password(tx: Transaction, name: str, password: str, must_change: bool) -> None:
    find(tx, name)
    tx.execute(
        "UPDATE users SET password = ?, must_change = ?, password_at = ? WHERE name = ?",
        (password, must_change, clock.now(), name),
    )


def seen(tx: Transaction, name: str, at: str) -> None:
    """Remember that somebody was here, also after their sessions have ended."""
    tx.execute("UPDATE users SET seen_at = ? WHERE name = ?", (at, name))


def remove(tx: Transaction, name: str) -> None:
    """Forget a user; their sessions end with them. Raises Conflict for the last admin."""
    find(tx, name)
    tx.execute("DELETE FROM users WHERE name = ?", (name,))
    _keep_an_admin(tx)


def _keep_an_admin(tx: Transaction) -> None:
    if tx.one("SELECT 1 FROM users WHERE role = 'admin' LIMIT 1") is None:
        raise Conflict(
            "This is the last admin: nobody could look after users then.", "Make another admin first."
        )


def _from_row(row: Row) -> User:
    return User(**{**row, "must_change": bool(row["must_change"])})
