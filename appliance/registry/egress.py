"""The addresses outside that an admin has allowed, each with what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from appliance import clock
from appliance.db import Row, Store, Transaction
from appliance.egress.rules import Rule
from appliance.errors import NotFound


@dataclass(frozen=True)
class Allowed:
    """One rule as it is kept; `host` and `port` as in `egress.rules`."""

    host: str
    port: int
    purpose: str
    added_by: str
    created_at: str

    @property
    def rule(self) -> Rule:
        return Rule(self.host, self.port)

    def summary(self) -> Row:
        return {"address": str(self.rule)} | vars(self)


def every(store: Store | Transaction) -> list[Allowed]:
    return [Allowed(**row) for row in store.all("SELECT * FROM egress_rules ORDER BY host, port")]


def add(tx: Transaction, rule: Rule, purpose: str, by: str) -> None:
    """Allow an address; one that was allowed before has this purpose from now on."""
    tx.execute(
        "INSERT INTO egress_rules VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET purpose = excluded.purpose, added_by = excluded.added_by, created_at = excluded.created_at",
        (rule.host, rule.port, purpose, by, clock.now()),
    )
    tx.audit(by, "egress.allow", f"egress:{rule}", {"purpose": purpose})


def remove(tx: Transaction, rule: Rule, by: str) -> None:
    """Raises NotFound."""
    if not tx.execute("DELETE FROM egress_rules WHERE (host, port) = (?, ?)", (rule.host, rule.port)):
        raise NotFound(f"There is no rule for {rule}.", "See what there is with: falaj egress ls")
    tx.audit(by, "egress.deny", f"egress:{rule}")
