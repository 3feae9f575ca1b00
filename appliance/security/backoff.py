"""Waiting times after wrong sign-ins, per address and per account, kept in telemetry.db.

An attempt counts before its password is checked, so attempts at once don't slip through together; the right
password takes it back. A key that waits is refused without being counted again: a flood can't lengthen the
wait, and nobody is locked out for good. An address from which somebody has signed in before does
not wait for what others do to that account.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass

from appliance import clock
from appliance.db import Store
from appliance.errors import Overloaded

FREE = 5  # wrong tries before any wait
LONGEST = {"address": 300.0, "account": 30.0}  # seconds
_REMEMBERED = 3600.0
_MOST_ROWS = 5000


@dataclass(frozen=True)
class Attempt:
    """One try to sign in, as it is counted."""

    account: str
    address: str

    @property
    def keys(self) -> dict[str, str]:
        return {"address": _key("address", self.address), "account": _key("account", self.account)}

    @property
    def known(self) -> str:
        return _key("known", f"{self.account}\n{self.address}")


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one (a host has all of that)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def begin(store: Store, attempt: Attempt) -> None:
    """Count a try. Raises Overloaded, with the seconds to wait, when one of its keys has to wait."""
    now, boot = clock.uptime(), clock.boot_id()
    with store.write() as tx:
        tx.execute(
            "DELETE FROM sign_in_tries WHERE failures > 0 AND (boot <> ? OR last < ?)",
            (boot, now - _REMEMBERED),
        )
        rows = {row["key"]: row for row in tx.all("SELECT * FROM sign_in_tries WHERE key IN (?, ?, ?)",
                (*attempt.keys.values(), attempt.known))}  # fmt: skip
        kinds = ["address"] if attempt.known in rows else ["address", "account"]
        waits = [rows[attempt.keys[kind]]["until"] - now for kind in kinds if attempt.keys[kind] in rows]
        if waits and max(waits) > 0:
            raise too_many(max(waits))
        for kind in kinds:
            failures = rows.get(attempt.keys[kind], {"failures": 0})["failures"] + 1
            until = now + _wait(failures, LONGEST[kind])
            tx.execute(
                "INSERT INTO sign_in_tries VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET failures = excluded.failures, until = excluded.until, last = excluded.last",
                (attempt.keys[kind], failures, until, now, boot),
            )
        tx.execute(
            "DELETE FROM sign_in_tries WHERE key NOT IN"
            " (SELECT key FROM sign_in_tries ORDER BY last DESC LIMIT ?)",
            (_MOST_ROWS,),
        )


def succeed(store: Store, attempt: Attempt) -> None:
    """Take the try back: the account starts anew, and the address is known to it."""
    with store.write() as tx:
        tx.execute("DELETE FROM sign_in_tries WHERE key = ?", (attempt.keys["account"],))
        tx.execute(
            "UPDATE sign_in_tries SET failures = failures - 1, until = 0 WHERE key = ? AND failures > 0",
            (attempt.keys["address"],),
        )
        tx.execute(
            "INSERT INTO sign_in_tries VALUES (?, 0, 0, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
            (attempt.known, clock.uptime(), clock.boot_id()),
        )


def too_many(seconds: float) -> Overloaded:
    whole = max(1, round(seconds + 0.5))
    error = Overloaded(
        "Too many wrong tries.", f"Wait {whole} second{'s' if whole > 1 else ''}, then try again."
    )
    error.retry_after = whole
    return error


def _wait(failures: int, longest: float) -> float:
    """Nothing for the first few, then 1, 2, 4 ... seconds."""
    return 0.0 if failures < FREE else min(longest, 2.0 ** min(30, failures - FREE))


def _key(kind: str, value: str) -> str:
    """Of a bounded length, whatever somebody typed."""
    return f"{kind}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"
