"""Commands on users, roles, sessions and the set-up of the admin page."""

from __future__ import annotations

import click

from appliance.app import open_app
from appliance.cli.edge import Edge, table, with_edge
from appliance.errors import Unavailable
from appliance.security.roles import FOR_PEOPLE, Caller, Role
from appliance.verbs import perform
from appliance.verbs.call import Call

_ROLES = click.Choice([role.value for role in FOR_PEOPLE])


@click.command("setup-code")
@with_edge
def setup_code(edge: Edge) -> None:
    """Make a new set-up code for the admin page.

    Works also when nothing runs, until somebody is set up.
    """
    try:
        made = edge.call("setup.code")
    except Unavailable:
        made = perform(open_app(edge.home), Call("setup.code", Caller("cli", Role.OWNER)))
    told = f"Open {made['open']} and type it there within {made['minutes']} minutes; {made['tries']} tries."
    edge.done(made, f"{made['code']}\n{told}")


@click.group()
def user() -> None:
    """People who may sign in to the admin page."""


@user.command("ls")
@with_edge
def user_ls(edge: Edge) -> None:
    """List all users."""
    rows = edge.call("user.ls")
    columns = {
        "name": "name",
        "role": "role",
        "must_change": "one-time password",
        "seen_at": "last seen",
        "created_at": "added",
    }
    shown = [row | {"must_change": "yes" if row["must_change"] else "no"} for row in rows]
    edge.done(rows, table(shown, columns, "No users yet. Set the admin page up with: falaj setup-code"))


@user.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, required=True, help="What they may do; see: falaj role ls")
@with_edge
def user_add(edge: Edge, name: str, role: str) -> None:
    """Add a user; prints a one-time password."""
    made = edge.call("user.add", name=name, role=role)
    edge.done(made, f"{made['password']}\n{_tell(made['user'])}")


@user.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
@with_edge
def user_role(edge: Edge, name: str, role: str) -> None:
    """Give a user another role."""
    made = edge.call("user.role", user=name, role=role)
    edge.done(made, f"{made['user']} is {made['role']} now.")


@user.command("reset")
@click.argument("name")
@with_edge
def user_reset(edge: Edge, name: str) -> None:
    """Give a user a new one-time password.

    For somebody who forgot theirs. All their sessions end.
    """
    made = edge.call("user.reset", user=name)
    edge.done(made, f"{made['password']}\n{_tell(made['user'])}")


@user.command("rm")
@click.argument("name")
@with_edge
def user_rm(edge: Edge, name: str) -> None:
    """Remove a user, and end their sessions."""
    made = edge.call("user.rm", user=name)
    edge.done(made, f"{made['user']} can no longer sign in.")


def _tell(name: str) -> str:
    return (
        f"Tell it to {name}: it only lets them choose a password, within seven days. It is not shown again."
    )


@click.group()
def role() -> None:
    """What users may do."""


@role.command("ls")
@click.option("--verbs", is_flag=True, help="Also every single thing that each may do.")
@with_edge
def role_ls(edge: Edge, verbs: bool) -> None:
    """List the roles and what each is for."""
    rows = edge.call("role.ls")
    width = max(len(row["role"]) for row in rows)
    told = [
        f"{row['role']:<{width}}  {row['meaning']}" + (f"\n  {', '.join(row['may'])}" if verbs else "")
        for row in rows
    ]
    edge.done(rows, "\n".join(told))


@click.group()
def session() -> None:
    """Browsers that are signed in."""


@session.command("ls")
@with_edge
def session_ls(edge: Edge) -> None:
    """List all sessions."""
    rows = edge.call("session.ls")
    columns = {
        "session": "session",
        "user": "user",
        "address": "from",
        "created_at": "signed in",
        "seen_at": "last seen",
    }
    edge.done(rows, table(rows, columns, "Nobody is signed in."))


@session.command("revoke")
@click.argument("session")
@with_edge
def session_revoke(edge: Edge, session: str) -> None:
    """End a session at once."""
    edge.done(edge.call("session.revoke", session=session), f"Session {session} is over.")


COMMANDS = [setup_code, user, role, session]
