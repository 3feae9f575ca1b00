"""Commands on the appliance as a whole: run, status, doctor, demo, job."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from appliance import config
from appliance.cli.edge import Edge, plural, table, with_edge
from appliance.config import start_command, under_systemd
from appliance.errors import FalajError, Forbidden
from appliance.home import open_home
from appliance.verbs.check import Check
from appliance.verbs.doctor import examine, examine_closed, examine_outside


@click.command()
@with_edge
def run(edge: Edge) -> None:
    """Start the appliance here and keep it running until Ctrl-C."""
    os.execv(sys.executable, [sys.executable, "-m", "appliance.daemon", "run", "--home", str(edge.home)])


@click.command()
@with_edge
def status(edge: Edge) -> None:
    """Say whether everything is running."""
    found = edge.call("status")
    lost = found["roles"]["inference"]["lost"]
    well = found["ready"] and not lost and not found["troubles"]
    lines = ["All is well." if well else "Not everything is well; see: falaj doctor", ""]
    for one in found["troubles"]:
        lines += [one["trouble"], f"  {one['fix']}", ""]
    for name, role in found["roles"].items():
        mark = "ready" if role["ready"] else "NOT READY"
        links = role.get("addresses") or [""]
        lines.append(f"{name:<10} {mark:<10} {links[0]}".rstrip())
        lines += [f"{'':<21} {link}" for link in links[1:]]
        if name == "inference":
            lines.append(f"{'':<21} {_crew(role)}")
    served = found["roles"]["inference"]["serving"]
    known = "models unknown" if found["models"] is None else plural(found["models"], "model")
    lines += ["", f"{known}, {len(served)} answering"]
    lines += [f"  {model}:{version}" for model, version in sorted(served.items())]
    lines += [f"  {name} DOES NOT ANSWER: {why}" for name, why in sorted(lost.items())]
    if found["alerts"]:
        lines += ["", f"{plural(found['alerts'], 'alert')}; see: falaj alert ls"]
    edge.done(found, "\n".join(lines))


def _crew(role: dict[str, Any]) -> str:
    """How many workers answer, of how many there may be, and how busy they are."""
    bounds = "always" if role["floor"] == role["ceiling"] else f"{role['floor']} to {role['ceiling']}"
    busy = "" if role["busy"] is None else f", {role['busy']:.0%} busy"
    return f"{plural(role['workers'], 'worker')} ({bounds}){busy}"


@click.command()
@with_edge
def doctor(edge: Edge) -> None:
    """Look for trouble and say how to mend it. Works also when nothing runs."""
    checks = _examined(edge)
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check['ok'] else 'BAD '} {check['check']:<11} {check['detail']}")
        if check["fix"]:
            lines.append(f"     {'':<11} -> {check['fix']}")
    bad = [check["check"] for check in checks if not check["ok"]]
    lines += ["", f"To be mended: {', '.join(bad)}" if bad else "All is well."]
    edge.done(checks, "\n".join(lines))
    if not all(check["ok"] for check in checks):
        sys.exit(1)


def _examined(edge: Edge) -> list[dict[str, Any]]:
    """What the appliance itself finds; this process looks where none runs, or none can be asked."""
    try:
        checks: list[dict[str, Any]] = edge.call("doctor")
    except Forbidden:
        raise
    except FalajError:
        return [vars(check) for check in _examined_here(edge.home)]
    if under_systemd(edge.home):  # its roles are shut in
        seen = {check.check: vars(check) for check in examine_outside(config.load(edge.home, {}))}
        checks = [seen.get(check["check"], check) for check in checks]
    return checks


def _examined_here(home: Path) -> list[Check]:
    try:
        there = (home / "keys").is_dir()
    except PermissionError as error:
        raise FalajError(f"{home} is not yours to read.", "Act as the user who owns it.") from error
    if not there:
        raise FalajError(f"There is no appliance in {home} yet.", f"Start one with: {start_command(home)}")
    try:
        return examine(open_home(home))
    except FalajError as error:
        return examine_closed(home, error)


@click.command()
@with_edge
def demo(edge: Edge) -> None:
    """Import, train, deploy and ask once, with real data sets."""
    from appliance.cli import demo as example

    failed = example.run(edge)
    if failed:
        sys.exit(1)


@click.group()
def job() -> None:
    """Long work: imports (ingest) and trainings (train)."""


@job.command("ls")
@with_edge
def job_ls(edge: Edge) -> None:
    """List the newest jobs."""
    rows = edge.call("job.ls")
    columns = {"job": "job", "kind": "kind", "subject": "subject", "state": "state", "created_at": "asked at"}
    edge.done(rows, table(rows, columns, "No jobs yet. Importing a dataset or training a model starts one."))


@job.command("show")
@click.argument("job")
@with_edge
def job_show(edge: Edge, job: str) -> None:
    """Show how far a job is, or how it ended."""
    found = edge.call("job.show", job=job)
    told = f"{found['kind']} {found['subject']}: {found['state']}"
    if found["state"] == "running":
        told += f", {found['progress']:.0%}, {found['phase']}"
    edge.done(found, told + _reason(found))


@job.command("logs")
@click.argument("job")
@with_edge
def job_logs(edge: Edge, job: str) -> None:
    """Print a job's log, its newest 256 KiB."""
    found = edge.call("job.logs", job=job)
    edge.done(found, found["log"].rstrip() or "The log is empty.")


@job.command("cancel")
@click.argument("job")
@with_edge
def job_cancel(edge: Edge, job: str) -> None:
    """Stop a job."""
    edge.done(edge.call("job.cancel", job=job), f"Job {job} is being stopped.")


def _reason(found: dict[str, Any]) -> str:
    error = found.get("error")
    return f"\n  {error['error']}\n  {error['hint']}" if error else ""


COMMANDS = [run, status, doctor, demo, job]
