"""Application tokens as rows: only the digest of a secret is ever stored."""

from __future__ import annotations

import json
from dataclasses import dataclass

from appliance import clock
from appliance.db import Row, Store, Transaction, known
from appliance.db.store import dumps
from appliance.errors import NotFound


@dataclass(frozen=True)
class Token:
    """What one program may call.

    `models` is a list of names, or `["*"]` for all; `role` what it may do on the management API, if anything.
    """

    id: str
    name: str
    digest: str
    models: list[str]
    expires_at: str | None
    revoked_at: str | None
    created_at: str
    created_by: str
    role: str | None = None

    def allows(self, model: str) -> bool:
        return model in self.models or "*" in self.models

    def summary(self) -> Row:
        """Everything but the digest."""
        row = dict(vars(self))
        del row["digest"]
        return row


def add(tx: Transaction, token: Token) -> None:
    tx.insert("tokens", dict(vars(token)) | {"models": dumps(token.models)})


def every(store: Store) -> list[Token]:
    return [_from_row(row) for row in store.all("SELECT * FROM tokens ORDER BY rowid")]


def find_by_digest(store: Store, digest: str) -> Token | None:
    row = store.one("SELECT * FROM tokens WHERE digest = ?", (digest,))
    return _from_row(row) if row else None


def revoke(tx: Transaction, id: str) -> None:
    """End a token now. Raises NotFound."""
    if not tx.execute(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (clock.now(), id)
    ):
        raise NotFound(f"There is no token '{id}'.", "See what there is with: falaj token ls")


def _from_row(row: Row) -> Token:
    return Token(**{**known(Token, row), "models": json.loads(row["models"])})
