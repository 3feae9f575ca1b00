"""Commands on upgrades: which version runs, going back, and trying again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import click

from appliance.app import open_app
from appliance.cli.edge import Edge, table, when, with_edge
from appliance.cli.services import check_place, systemctl
from appliance.errors import Conflict, FalajError, NotFound, Unavailable
from appliance.security.roles import SYSTEM
from appliance.upgrade import held, takeover
from appliance.upgrade.held import BY_HAND, PREVIOUS, PROGRAM
from appliance.verbs import perform
from appliance.verbs.call import Call

SCRIPT = Path("/usr/lib/falaj/upgrade.sh")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def upgrade(context: click.Context, as_json: bool) -> None:
    """Upgrades: which version runs, going back, and trying again."""
    if context.invoked_subcommand is None:
        context.invoke(upgrade_show, as_json=as_json)


@upgrade.command("show")
@with_edge
def upgrade_show(edge: Edge) -> None:
    """Say which version runs, and why not a newer one. Works also when nothing runs."""
    try:
        found = edge.call("upgrade.show")
    except Unavailable:
        found = perform(open_app(edge.home), Call("upgrade.show", SYSTEM))
    lines = [f"Version {found['version']} runs."]
    if found["held"]:
        lines += [found["held"]["trouble"], f"  {found['held']['fix']}"]
    columns = {"from": "of version", "to": "before version", "at": "taken", "size": "MiB"}
    shown = [
        row | {"at": when(row["at"]), "size": f"{row['bytes'] / 2**20:.1f}"} for row in found["snapshots"]
    ]
    edge.done(found, "\n".join([*lines, "", table(shown, columns, "No snapshot yet; an upgrade makes one.")]))


@upgrade.command("back")
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_edge
def upgrade_back(edge: Edge, yes: bool) -> None:
    """Go back to the version before.

    Where the newer one has changed the databases, the snapshot that was taken before comes back with it.

    What has happened since the snapshot is set aside then, in the data directory under upgrade/after-TIME.
    """
    check_place(edge, "upgrade back")
    _check_unpacked()
    if not (PREVIOUS / "bin" / "python3").exists():
        raise NotFound("No version before this one is kept here.", "Install the one you want with apt.")
    known = _asked(PREVIOUS, "migrations", edge.home)
    there = json.loads(_asked(PROGRAM, "applied", edge.home))
    if held.read(edge.home) is not None and takeover.fits(there, json.loads(known)):
        raise Conflict("The version before runs already.", "To try the newer one: sudo falaj upgrade retry")
    old, new = (_version(program) for program in (PREVIOUS, PROGRAM))
    if not yes:
        click.confirm(f"Go back from {new} to {old}? What was changed since may be set aside.", abort=True)
    systemctl("stop", "falaj.target", "falaj-*.service", "falaj-*.socket")
    try:
        held.write(edge.home, old, new, BY_HAND)  # first: cut short, the newer program must not begin anew
        try:
            put_back = _asked(PROGRAM, "take-back", edge.home, "--from", old, "--to", new, "--known", known)
        except FalajError:
            held.path_of(edge.home).unlink()
            raise
    finally:
        systemctl("start", "falaj.target")
    told = f"Version {old} runs again" + (f", with the snapshot {put_back}." if put_back else ".")
    edge.done({"version": old, "snapshot": put_back or None}, told)


@upgrade.command("retry")
@with_edge
def upgrade_retry(edge: Edge) -> None:
    """Try again to let the installed version take over."""
    check_place(edge, "upgrade retry")
    _check_unpacked()
    found = held.read(edge.home)
    if found is None:
        raise Conflict("No upgrade is held.", "See: falaj upgrade show")
    script = '. "$0"; after_unpack "$1" "$2"'
    done = subprocess.run(["sh", "-c", script, str(SCRIPT), found.old, found.new], check=False)
    again = held.read(edge.home)
    if done.returncode or again is not None:
        why = again.why if again is not None else "The script that does it has failed."
        raise FalajError(f"Version {found.new} could not take over: {why}", "Nothing is lost.")
    edge.done({"version": found.new}, f"Version {found.new} runs.")


def _check_unpacked() -> None:
    """Raises Conflict while the package manager has the files half changed, or was cut short in it."""
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", "falaj"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.stdout.strip() != "installed":
        raise Conflict(
            "The package is not whole: it is being installed, or that was cut short.",
            "Wait until it is done, or complete it: sudo dpkg --configure -a",
        )


def _asked(program: Path, role: str, home: Path, *more: str) -> str:
    """The answer of a program to a step of an upgrade. Raises FalajError with its reason."""
    command = [str(program / "bin" / "python3"), "-m", "appliance.daemon", role, "--home", str(home), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise FalajError(done.stdout.strip() or f"{program} cannot be run.", "Nothing was changed.")
    return done.stdout.strip()


def _version(program: Path) -> str:
    command = [str(program / "bin" / "python3"), "-c", "import appliance; print(appliance.__version__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "before"


COMMANDS = [upgrade]
