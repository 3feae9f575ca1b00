"""Commands on tokens and the audit chain."""

from __future__ import annotations

import sys

import click

from appliance.cli.edge import Edge, plural, table, when, with_edge
from appliance.security.roles import FOR_TOKENS


@click.group()
def token() -> None:
    """What applications show when they ask for a prediction."""


@token.command("create")
@click.option("--models", metavar="MODEL[,MODEL]", help="What it may ask; '*' means every model.")
@click.option(
    "--role",
    type=click.Choice([one.value for one in FOR_TOKENS]),
    help="What it may do on the management API; without it nothing.",
)
@click.option("--expires", metavar="TIME", help="How long it works, e.g. 12h or 90d.")
@click.option("--name", metavar="TEXT", help="What it is for, to know it again.")
@with_edge
def token_create(
    edge: Edge, models: str | None, role: str | None, expires: str | None, name: str | None
) -> None:
    """Make a token, which is shown once.

    It is for one or more models, for a role on the management API, or for both.
    """
    wanted = [one.strip() for one in (models or "").split(",") if one.strip()]
    made = edge.call("token.create", models=wanted, role=role, expires=expires, name=name)
    goals = ["every model" if "*" in made["models"] else ", ".join(made["models"])] if wanted else []
    goals += [f"the management API as {role}"] if role else []
    until = f"until {when(made['expires'])}" if made["expires"] else "until it is revoked"
    edge.done(
        made,
        f"{made['token']}\nFor {' and '.join(goals)}, {until}. "
        "Keep it like a password: it is not shown again.",
    )


@token.command("ls")
@with_edge
def token_ls(edge: Edge) -> None:
    """List all tokens."""
    rows = edge.call("token.ls")
    columns = {
        "id": "id",
        "name": "name",
        "models": "models",
        "role": "role",
        "expires_at": "expires",
        "revoked_at": "revoked",
        "last_used_at": "last used",
    }
    edge.done(rows, table(rows, columns, "No tokens yet. Make one with: falaj token create --models MODEL"))


@token.command("revoke")
@click.argument("id")
@with_edge
def token_revoke(edge: Edge, id: str) -> None:
    """End a token at once."""
    made = edge.call("token.revoke", id=id)
    told = (
        "no longer opens anything"
        if made["in_force"]
        else "is revoked; a busy worker may take it for seconds"
    )
    edge.done(made, f"Token {id} {told}.")


@click.group()
def audit() -> None:
    """Who did what, in a chain that shows every change to it."""


@audit.command("ls")
@click.option("--limit", type=click.IntRange(1, 10000), default=50, show_default=True, help="How many.")
@with_edge
def audit_ls(edge: Edge, limit: int) -> None:
    """List the newest entries."""
    rows = edge.call("audit.ls", limit=limit)
    columns = {"seq": "no.", "at": "when", "actor": "who", "action": "what", "subject": "on"}
    edge.done(rows, table(rows, columns, "The chain is empty."))


@audit.command("verify")
@with_edge
def audit_verify(edge: Edge) -> None:
    """Check that no entry was changed or taken out."""
    found = edge.call("audit.verify")
    entries = plural(found["entries"], "entry", "entries")
    told = f"{entries}, unbroken" if found["ok"] else f"BROKEN after {entries}: {found['why']}"
    edge.done(found, told)
    if not found["ok"]:
        sys.exit(1)


@audit.command("export")
@with_edge
def audit_export(edge: Edge) -> None:
    """Print all entries, oldest first."""
    rows = edge.call("audit.export")
    columns = {
        "seq": "no.",
        "at": "when",
        "actor": "who",
        "action": "what",
        "subject": "on",
        "detail": "detail",
    }
    edge.done(rows, table(rows, columns, "The chain is empty."))


COMMANDS = [token, audit]
