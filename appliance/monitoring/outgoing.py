"""Calls out: what the egress role counted, by hour, and which rules are in force there.

The registry's rows are the truth; the role's file is written anew whenever it says anything else.
"""

from __future__ import annotations

from appliance import addresses, clock
from appliance.db import Row, Store, Transaction
from appliance.egress import client, folder
from appliance.egress.counts import OTHER, REFUSED
from appliance.egress.rules import Rule, is_address, shown
from appliance.errors import Forbidden
from appliance.home import Home
from appliance.registry import egress
from appliance.security.refusals import Refusals

MOST_AN_HOUR = 1000  # hosts that are told apart
_KEPT_DAYS, _KEPT_ROWS = 90, 50_000
_SUMS = "sum(calls) AS calls, sum(bytes_out) AS bytes_out, sum(bytes_in) AS bytes_in, max(last_at) AS last_at"


class Outgoing:
    """The rounds of one process, which alone collects."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._refusals = Refusals(home.registry, "egress")

    def look(self) -> None:
        """Put the rules in force, and write down what was called and refused. Raises FalajError."""
        self._refusals.flush()
        if not in_force(self._home):
            put_in_force(self._home)
        collect(self._home, self._refusals)


def in_force(home: Home) -> bool:
    """Whether the egress role goes by the rules of the registry."""
    return folder.read_allowed(home.config.egress_dir) == _wanted(home.registry)


def put_in_force(home: Home) -> None:
    """Write the rules where the role reads them; of two at once, whoever comes last knows of both changes."""
    with home.registry.write() as tx:
        folder.write_allowed(home.config.egress_dir, _wanted(tx))


def _wanted(store: Store | Transaction) -> list[Rule]:
    return [one.rule for one in egress.every(store)]


def collect(home: Home, refusals: Refusals) -> None:
    """Add what the role has counted since; each batch once, whoever is killed meanwhile."""
    known = home.telemetry.one("SELECT batch FROM egress_batch")
    told = client.ask(home.config.egress_dir, "counts", acknowledged=known["batch"] if known else "")
    counts = [_plain(one) for one in told["counts"]]
    if not counts:
        return
    at = clock.now()
    with home.telemetry.write() as tx:
        for count in counts:
            _add(tx, at, count)
        tx.execute(
            "INSERT INTO egress_batch VALUES (1, ?) ON CONFLICT DO UPDATE SET batch = excluded.batch",
            (told["batch"],),
        )
    for count in counts:
        if count["verdict"] == REFUSED:
            about = f"egress:{shown(count['host'], count['port'])}"
            refusals.add("system", Forbidden.status, about, count["calls"])


def _plain(told: Row) -> Row:
    """A count as it may be kept and shown: whoever talks to the internet is not believed every word."""
    host, numbers = str(told["host"]), ("port", "calls", "bytes_out", "bytes_in")
    known = addresses.is_name(host) or is_address(host) is not None
    plain = {name: min(max(0, int(told[name])), 1 << 53) for name in numbers}
    return plain | {"host": host if known else OTHER, "verdict": str(told["verdict"])}


def _add(tx: Transaction, at: str, count: Row) -> None:
    hour, host, port = at[:13], count["host"], count["port"]
    there = tx.one("SELECT 1 FROM egress_counts WHERE (hour, host, port) = (?, ?, ?)", (hour, host, port))
    if there is None:
        several = tx.one(
            "SELECT count(*) AS hosts FROM (SELECT DISTINCT host, port FROM egress_counts WHERE hour = ?)",
            (hour,),
        )
        if several and several["hosts"] >= MOST_AN_HOUR:
            host, port = OTHER, 0
    tx.execute(
        "INSERT INTO egress_counts VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " calls = calls + excluded.calls, bytes_out = bytes_out + excluded.bytes_out,"
        " bytes_in = bytes_in + excluded.bytes_in, last_at = excluded.last_at",
        (hour, host, port, count["verdict"], count["calls"], count["bytes_out"], count["bytes_in"], at),
    )


def recent(telemetry: Store, since: str) -> list[Row]:
    """Calls out by host, port and verdict in the hours from `since` on, newest first."""
    return telemetry.all(
        f"SELECT host, port, verdict, {_SUMS} FROM egress_counts WHERE hour >= ?"
        " GROUP BY host, port, verdict ORDER BY last_at DESC, host, port, verdict",
        (since[:13],),
    )


def thin(tx: Transaction, now: float) -> None:
    """Old hours go, and the oldest of too many rows."""
    tx.execute("DELETE FROM egress_counts WHERE hour < ?", (clock.stamp_of(now - _KEPT_DAYS * 86400)[:13],))
    tx.execute(
        "DELETE FROM egress_counts WHERE rowid IN"
        " (SELECT rowid FROM egress_counts ORDER BY hour DESC LIMIT -1 OFFSET ?)",
        (_KEPT_ROWS,),
    )
