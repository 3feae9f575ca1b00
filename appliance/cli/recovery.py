"""Commands on the recovery key."""

from __future__ import annotations

import os
import sys

import click

from appliance import home as homes
from appliance import keys
from appliance.cli.edge import Edge, when, with_edge
from appliance.config import SYSTEM_HOME, start_command
from appliance.errors import FalajError
from appliance.process import become_owner_of
from appliance.security import recovery as recovering


@click.group()
def recovery() -> None:
    """The key that opens the data on another machine."""


@recovery.command("show")
@with_edge
def recovery_show(edge: Edge) -> None:
    """Say whether there is a recovery key, and when it was last checked."""
    found = edge.call("recovery.show")
    if not found["made"]:
        return edge.done(found, "No recovery key was made yet. Make one: falaj recovery make")
    checked = f"{when(found['checked_at'])} by {found['checked_by']}" if found["checked_at"] else "never"
    edge.done(found, f"made     {when(found['made_at'])} by {found['made_by']}\nchecked  {checked}")


@recovery.command("make")
@with_edge
def recovery_make(edge: Edge) -> None:
    """Make a new recovery key. The one before opens nothing any more."""
    made = edge.call("recovery.make")
    told = "Write it down and keep it away from this machine: it is not shown again."
    edge.done(made, f"{made['key']}\n{told}\nThen check what you wrote: falaj recovery check")


@recovery.command("check")
@with_edge
def recovery_check(edge: Edge) -> None:
    """Check that the recovery key you have is the right one. Asks for it, or reads it from its input."""
    edge.done(edge.call("recovery.check", key=_typed()), "It is the right one.")


@recovery.command("use")
@with_edge
def recovery_use(edge: Edge) -> None:
    """Open the data of another machine with its key.

    For a data directory that came from there; the appliance must not run. Its master key is in place then.
    """
    home, folder = edge.home, edge.home / "keys"
    if not (home / "registry.db").exists():
        raise FalajError(f"There is no appliance's data in {home}.", "Put the data directory there first.")
    owner = home.stat()
    with homes.alone(home):
        master = recovering.master_from(home, _typed())
        ring = keys.open_with(master, folder)
        sealed = os.geteuid() == 0 and home == SYSTEM_HOME
        if not sealed:
            keys.write_file(folder / "master.key", master, owner=(owner.st_uid, owner.st_gid))
        elif why := keys.keep_master(folder, master):
            sealed = False
            click.echo(f"It can't be sealed here: {why.message} {why.hint}", err=True)
        become_owner_of(home)
        opened = homes.open_home(home, ring)
        with opened.registry.write() as tx:
            tx.audit("cli:recovery", "recovery.use", "keys")
    how = "sealed for this machine" if sealed else "in keys/master.key"
    edge.done(
        {"sealed": sealed}, f"The master key is in place, {how}. Start the appliance: {start_command(home)}"
    )


def _typed() -> str:
    """What somebody types, unseen, or what comes on the input."""
    if sys.stdin.isatty():
        return str(click.prompt("Recovery key", hide_input=True, err=True))
    return sys.stdin.read(4096)


COMMANDS = [recovery]
