"""How many requests, with what status and how fast: by minute for two days, then by hour, and in all.

What is stored are sums, so any span can be put together from them. Spans are on the wall clock; a jump of it
puts requests under another minute and changes no total.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.db import Row, Store, Transaction
from appliance.db.store import dumps
from appliance.monitoring import latency

MINUTE, HOUR, DAY = 60, 3600, 86400
FINE_DAYS, KEPT_DAYS = 2, 400
NO_MODEL = ""  # requests that named no deployed model


@dataclass(slots=True)
class Meter:
    """What happened to some requests; `seconds` is the sum of their times."""

    statuses: dict[int, int] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * (len(latency.EDGES) + 1))
    seconds: float = 0.0
    rows: int = 0

    def add(self, status: int, seconds: float) -> None:
        statuses = self.statuses
        statuses[status] = statuses.get(status, 0) + 1
        self.latency[latency.bucket(seconds)] += 1
        self.seconds += seconds

    def merge(self, other: Meter) -> None:
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.latency = [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)]
        self.seconds += other.seconds
        self.rows += other.rows

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Requests that the appliance failed: statuses of 500 and above."""
        return sum(count for status, count in self.statuses.items() if status >= 500)

    @property
    def refused(self) -> int:
        """Requests that were wrong: statuses from 400 to 498 (499: the client hung up)."""
        return sum(count for status, count in self.statuses.items() if 400 <= status < 499)

    def as_json(self) -> Row:
        quantiles = {
            f"p{share}_ms": None
            if (at := latency.quantile(self.latency, share / 100)) is None
            else round(at * 1e3, 3)
            for share in (50, 95, 99)
        }
        return {
            "requests": self.requests, "rows": self.rows, "failed": self.failed, "refused": self.refused,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())}, **quantiles,
        }  # fmt: skip

    def _columns(self) -> tuple[str, str, float, int]:
        return (
            dumps({str(status): count for status, count in self.statuses.items()}),
            dumps(self.latency),
            self.seconds,
            self.rows,
        )

    @classmethod
    def from_row(cls, row: Row) -> Meter:
        statuses = {int(status): int(count) for status, count in json.loads(row["statuses"]).items()}
        return cls(statuses, json.loads(row["latency"]), float(row["seconds"]), int(row["rows"]))


def add(tx: Transaction, model: str, version: int, meter: Meter, at: float) -> None:
    """Add a meter to the minute of `at` (seconds since 1970) and to the model's total."""
    starts = int(at) // MINUTE * MINUTE
    _add_span(tx, model, version, starts, MINUTE, meter)
    old = tx.one("SELECT * FROM totals WHERE model = ?", (model,))
    total = Meter.from_row(old) if old else Meter()
    total.merge(meter)
    tx.execute("INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?, ?)", (model, *total._columns()))


def totals(store: Store) -> dict[str, Meter]:
    """All requests ever, by model."""
    return {
        str(row["model"]): Meter.from_row(row) for row in store.all("SELECT * FROM totals ORDER BY model")
    }


def summed(store: Store, model: str | None, since: float) -> dict[str, Meter]:
    """All requests since then, by model."""
    found: dict[str, Meter] = {}
    for row in _rows(store, model, since):
        found.setdefault(str(row["model"]), Meter()).merge(Meter.from_row(row))
    return found


def series(store: Store, model: str | None, since: float, until: float, step: int) -> list[tuple[int, Meter]]:
    """Spans of `step` seconds from `since` on, the empty ones too; of one model or of all together."""
    first = int(since) // step * step
    spans = {starts: Meter() for starts in range(first, int(until) + 1, step)}
    for row in _rows(store, model, first):
        meter = spans.get(int(row["starts"]) // step * step)
        if meter is not None:
            meter.merge(Meter.from_row(row))
    return list(spans.items())


def thin(tx: Transaction, now: float) -> None:
    """Put minutes of more than two days ago together by the hour, and forget what is older than a year."""
    tx.execute("DELETE FROM traffic WHERE starts < ?", (now - KEPT_DAYS * DAY,))
    limit = int(now - FINE_DAYS * DAY) // HOUR * HOUR
    old = tx.all("SELECT * FROM traffic WHERE starts < ? AND span = ?", (limit, MINUTE))
    tx.execute("DELETE FROM traffic WHERE starts < ? AND span = ?", (limit, MINUTE))
    for row in old:
        starts = int(row["starts"]) // HOUR * HOUR
        _add_span(tx, row["model"], row["version"], starts, HOUR, Meter.from_row(row))


def _add_span(tx: Transaction, model: str, version: int, starts: int, span: int, meter: Meter) -> None:
    key = (starts, model, version)
    old = tx.one("SELECT * FROM traffic WHERE starts = ? AND model = ? AND version = ?", key)
    if old:
        meter = _sum(Meter.from_row(old), meter)
    values = (model, version, starts, span, *meter._columns())
    tx.execute("INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _sum(*meters: Meter) -> Meter:
    total = Meter()
    for meter in meters:
        total.merge(meter)
    return total


def _rows(store: Store, model: str | None, since: float) -> Iterable[Row]:
    return store.all(
        "SELECT * FROM traffic WHERE starts >= ? AND model = coalesce(?, model)",
        (int(since) // MINUTE * MINUTE, model),
    )
