"""Commands on connections out of this machine."""

from __future__ import annotations

import sys

import click

from appliance.cli.edge import Edge, plural, table, when, with_edge


@click.group()
def egress() -> None:
    """What this machine may call outside."""


@egress.command("ls")
@with_edge
def egress_ls(edge: Edge) -> None:
    """List what may be called, and the calls of the last 24 hours."""
    found = edge.call("egress.ls")
    columns = {"address": "may be called", "purpose": "for", "added_by": "allowed by", "created_at": "since"}
    lines = [table(found["rules"], columns, "Nothing may leave this machine.")]
    if not found["in_force"]:
        lines.append("NOT IN FORCE YET; see: falaj doctor")
    rows = [
        one | {"address": f"{one['host']}:{one['port']}", "last": when(one["last_at"])}
        for one in found["calls"]
    ]
    columns = {
        "address": "called", "verdict": "verdict", "calls": "calls", "bytes_out": "bytes out",
        "bytes_in": "bytes in", "last": "last",
    }  # fmt: skip
    edge.done(found, "\n".join([*lines, "", table(rows, columns, "No calls in the last 24 hours.")]))


@egress.command("allow")
@click.argument("address", metavar="HOST[:PORT]")
@click.option("--purpose", required=True, help="What it is for, in a few words; it is kept in the records.")
@with_edge
def egress_allow(edge: Edge, address: str, purpose: str) -> None:
    """Let this machine call HOST, at port 443 unless told.

    HOST is a name, '*.NAME' for all names below one, or an address.
    """
    found = edge.call("egress.allow", address=address, purpose=purpose)
    edge.done(found, f"{found['address']} may be called from now on.{_late(found['in_force'])}")


@egress.command("deny")
@click.argument("address", metavar="HOST[:PORT]")
@with_edge
def egress_deny(edge: Edge, address: str) -> None:
    """Take the rule for HOST back."""
    found = edge.call("egress.deny", address=address)
    edge.done(found, f"The rule for {found['address']} is gone.{_late(found['in_force'])}")


@egress.command("test")
@click.argument("url")
@with_edge
def egress_test(edge: Edge, url: str) -> None:
    """Get a URL once, and say how that ended."""
    found = edge.call("egress.test", url=url)
    told = f"{found['address']} {found['verdict']}"
    if found["verdict"] == "done":
        told += (
            f": status {found['status']}, {plural(found['bytes'], 'byte')} in {found['seconds']:g} seconds"
        )
    else:
        told += f"\n  {found['error']}\n  {found['hint']}"
    edge.done(found, told)
    if found["verdict"] != "done":
        sys.exit(1)


def _late(in_force: bool) -> str:
    return "" if in_force else "\nIt is not in force yet; see: falaj doctor"


COMMANDS = [egress]
