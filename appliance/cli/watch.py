"""Commands on what happens to models in use: traffic, drift, alerts, kept predictions, metrics."""

from __future__ import annotations

import json
from typing import Any

import click

from appliance.cli.edge import Edge, plural, table, when, with_edge

_WORST = 10


@click.command()
@click.argument("model", required=False)
@click.option("--hours", type=float, default=24.0, show_default=True, help="How far to look back.")
@with_edge
def traffic(edge: Edge, model: str | None, hours: float) -> None:
    """Show how many requests came, and how fast they were answered."""
    found = edge.call("traffic", model=model, hours=hours)
    rows = [{"model": name} | one for name, one in found["models"].items()]
    columns = {
        "model": "model", "requests": "requests", "rows": "rows", "failed": "failed", "refused": "refused",
        "p50_ms": "half within ms", "p95_ms": "95 % within", "p99_ms": "99 % within",
    }  # fmt: skip
    told = table(rows, columns, f"No requests in the last {hours:g} hours.")
    if found["unknown"]:
        told += f"\n{plural(found['unknown'], 'request')} named no deployed model."
    edge.done(found, told)


@click.command()
@click.argument("model")
@click.option("--windows", type=int, default=0, help="Tell of so many earlier windows, too.")
@with_edge
def drift(edge: Edge, model: str, windows: int) -> None:
    """Show whether MODEL is still asked what it was trained for."""
    found = edge.call("drift", model=model, windows=windows)
    coming = found["next"]
    lines = [_VERDICTS[found["verdict"]]]
    if found["window"] is None:
        lines.append(f"{plural(coming['rows'], 'row')} so far; {coming['needed']:,} are needed.")
    else:
        window = found["window"]
        lines.append(f"{plural(window['rows'], 'row')}, until {when(window['to'])}.")
        if not found["calibrated"]:
            lines.append("Uncalibrated: there is no history yet that shows how much is normal here.")
        rows = [{**one, "drifted": "DRIFTED" if one["drifted"] else ""} for one in found["features"]]
        columns = {"name": "feature", "score": "change (PSI)", "p": "p", "drifted": ""}
        lines += ["", table(rows[:_WORST], columns, "")]
        if more := rows[_WORST:]:
            drifted = sum(bool(one["drifted"]) for one in more)
            lines.append(f"... and {plural(len(more), 'more feature')}, {drifted} of them drifted")
        if any(one["drifted"] for one in found["answers"]):
            lines += ["", "The answers have changed, too."]
        lines += [
            "",
            f"The next window has {plural(coming['rows'], 'row')}; {coming['needed']:,} are needed.",
        ]
    if windows:
        rows = [{**one, **one["window"]} for one in found["history"]]
        columns = {"to": "until", "version": "version", "rows": "rows", "verdict": "verdict"}
        lines += ["", table(rows, columns, "No window was judged yet.")]
    edge.done(found, "\n".join(lines))


_VERDICTS = {
    "stable": "It is asked what it was trained for.",
    "drifted": "What it is asked has changed from what it was trained with.",
    "undecided": "There are too few rows yet to tell.",
}


@click.group()
def alert() -> None:
    """What went wrong with models in use."""


@alert.command("ls")
@click.option("--all", "every", is_flag=True, help="Also those that are resolved.")
@with_edge
def alert_ls(edge: Edge, every: bool) -> None:
    """List the alerts that still hold."""
    rows = edge.call("alert.ls", all=every)
    shown = [{**row, "features": _short(row["features"])} for row in rows]
    columns = {
        "id": "id", "model": "model", "rule": "rule", "state": "state", "features": "features",
        "opened": "since",
    }  # fmt: skip
    edge.done(rows, table(shown, columns, "No alerts: nothing is known to be wrong."))


@alert.command("ack")
@click.argument("alert")
@with_edge
def alert_ack(edge: Edge, alert: str) -> None:
    """Say that you know of it."""
    edge.done(edge.call("alert.ack", alert=alert), f"Alert {alert} is acknowledged.")


@alert.command("resolve")
@click.argument("alert")
@with_edge
def alert_resolve(edge: Edge, alert: str) -> None:
    """Say that it is dealt with; if it goes on, a new alert is opened."""
    edge.done(edge.call("alert.resolve", alert=alert), f"Alert {alert} is resolved.")


@click.group()
def prediction() -> None:
    """The answered predictions that are kept."""


@prediction.command("ls")
@click.argument("model")
@click.option("--limit", type=int, default=20, show_default=True, help="How many of them.")
@with_edge
def prediction_ls(edge: Edge, model: str, limit: int) -> None:
    """List the newest predictions of MODEL."""
    rows = edge.call("prediction.ls", model=model, limit=limit)
    columns = {"request_id": "request", "at": "at", "version": "version", "rows": "rows", "token": "token"}
    edge.done(rows, table(rows, columns, "No predictions are kept of it yet."))


@prediction.command("show")
@click.argument("request_id", metavar="REQUEST")
@with_edge
def prediction_show(edge: Edge, request_id: str) -> None:
    """Show what was asked and answered under a request id."""
    found = edge.call("prediction.show", request_id=request_id)
    who = f"token {found['token']}, {when(found['at'])}, on {found['runtime']}"
    lines = [f"{found['model']}:{found['version']}, {plural(found['rows'], 'row')}; {who}"]
    for name, title in (("request", "asked"), ("reply", "answered")):
        lines += ["", title, _indented(found[name])]
    edge.done(found, "\n".join(lines))


@click.command()
@with_edge
def metrics(edge: Edge) -> None:
    """Print everything that is counted, as Prometheus reads it."""
    found = edge.call("metrics")
    edge.done(found, found["text"].rstrip())


def _short(names: list[str]) -> str:
    """The first names, and how many more there are."""
    if not names:
        return "the answers"
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _indented(document: Any) -> str:
    if document is None:
        return "  (too long to be kept)"
    return json.dumps(document, ensure_ascii=False, indent=2)


COMMANDS = [traffic, drift, alert, prediction, metrics]
