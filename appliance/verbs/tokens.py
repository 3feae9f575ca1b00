"""Verbs on application tokens."""

from __future__ import annotations

from appliance import presence
from appliance.app import App
from appliance.db import Row
from appliance.errors import BadInput
from appliance.registry import models, tokens
from appliance.security import tokens as minting
from appliance.security.roles import FOR_TOKENS
from appliance.verbs.call import Call

_LONGEST_NAME = 100


def create(app: App, call: Call) -> Row:
    """Make a token for some models, or for a role; the secret is in the reply and nowhere else."""
    wanted = call.texts("models")
    role = call.choice("role", FOR_TOKENS) if call.args.get("role") else None
    if not wanted and role is None:
        raise BadInput(
            "A token must be for at least one model, or for a role.",
            "For example: --models churn, or --models '*', or --role operator",
        )
    known = models.names(app.home.registry)
    for name in wanted:
        if name != "*" and name not in known:
            raise BadInput(
                f"There is no model '{name[:60]}', so no token can be for it.",
                "See what there is with: falaj model ls",
            )
    expires, name = call.optional("expires"), call.text("name", "")
    if len(name) > _LONGEST_NAME:
        raise BadInput(f"The name of a token has more than {_LONGEST_NAME} letters.", "Choose a shorter one.")
    with app.home.registry.write() as tx:
        text, token = minting.create(tx, wanted, expires, name, call.actor, role)
    _in_force(app)
    return {"token": text, "id": token.id, "models": token.models, "role": role, "expires": token.expires_at}


def ls(app: App, call: Call) -> list[Row]:
    """All tokens with their last use, without their secrets."""
    rows = app.home.telemetry.all("SELECT token, max(last_at) AS last_at FROM token_use GROUP BY token")
    used = {row["token"]: row["last_at"] for row in rows}
    return [
        token.summary() | {"last_used_at": used.get(token.id)} for token in tokens.every(app.home.registry)
    ]


def revoke(app: App, call: Call) -> Row:
    """End a token at once."""
    id = call.text("id")
    with app.home.registry.write() as tx:
        tokens.revoke(tx, id)
        tx.audit(call.actor, "token.revoke", f"token:{id}")
    return {"id": id, "revoked": True, "in_force": _in_force(app)}


def _in_force(app: App) -> bool:
    """Wait until every inference worker knows; False when one has not said so in time."""
    stamp = presence.poke(app.home.run_dir)
    return presence.wait_until_seen(app.home.run_dir, "tokens", stamp)
