"""The one-time set-up code: at most one is valid; it dies of age, of a new boot, or of wrong tries."""

from __future__ import annotations

from appliance import clock
from appliance.db import Row, Transaction


def replace(tx: Transaction, digest: str, seconds: float, tries: int) -> None:
    """Make this the only code. Its age is counted by the uptime: no change of the clock stretches it."""
    forget(tx)
    tx.insert(
        "setup_code",
        {
            "id": 1,
            "digest": digest,
            "boot": clock.boot_id(),
            "until": clock.uptime() + seconds,
            "tries": tries,
        },
    )


def take_a_try(tx: Transaction) -> Row | None:
    """The code, with one try less than before; None when there is none that is valid."""
    changed = tx.execute(
        "UPDATE setup_code SET tries = tries - 1 WHERE tries > 0 AND boot = ? AND until > ?",
        (clock.boot_id(), clock.uptime()),
    )
    return tx.one("SELECT * FROM setup_code") if changed else None


def give_a_try_back(tx: Transaction, digest: str) -> None:
    tx.execute("UPDATE setup_code SET tries = tries + 1 WHERE digest = ?", (digest,))


def forget(tx: Transaction) -> None:
    tx.execute("DELETE FROM setup_code")
