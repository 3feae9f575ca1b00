"""What all commands share: the home, `--json`, errors in two lines, progress bars and tables."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from appliance.cli.client import Client
from appliance.config import find_home
from appliance.errors import FalajError

_F = TypeVar("_F", bound=Callable[..., Any])
_BAR = 24
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")  # as clock.now() writes it


class Edge:
    """One run of the command line."""

    def __init__(self, home: str | None) -> None:
        self.home: Path = find_home(home)
        self.json = False
        self.client = Client(self.home)

    def call(self, verb: str, **args: Any) -> Any:
        """A verb of the running appliance; an error ends the command."""
        return self.client.call(verb, **args)

    def done(self, result: Any, told: str) -> None:
        """Print a result: one line of JSON, or the words meant for people."""
        click.echo(json.dumps(result, ensure_ascii=False) if self.json else told)

    def finish(self, started: dict[str, Any], detach: bool) -> dict[str, Any] | None:
        """Wait for a job under a progress bar; None when it was only to be started."""
        if detach:
            self.done(started, started["job"])
            return None
        bar = ProgressBar(enabled=not self.json and sys.stderr.isatty())
        try:
            return self.client.wait(started["job"], bar)
        except KeyboardInterrupt:
            click.echo(f"\nThe job goes on. See: falaj job show {started['job']}", err=True)
            sys.exit(130)
        finally:
            bar.clear()


class ProgressBar:
    """One line on the terminal that is rewritten in place."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    def __call__(self, fraction: float, phase: str) -> None:
        if self._enabled:
            full = round(fraction * _BAR)
            bar = "█" * full + "░" * (_BAR - full)
            click.echo(f"\r\033[K{bar} {fraction:4.0%}  {phase}", nl=False, err=True)

    def clear(self) -> None:
        if self._enabled:
            click.echo("\r\033[K", nl=False, err=True)


def with_edge(command: _F) -> _F:
    """Give a command its Edge as the first argument, and its `--json` option."""

    @click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
    @click.pass_context
    def wrapped(context: click.Context, /, as_json: bool, **arguments: Any) -> Any:
        edge = context.find_object(Edge)
        assert edge is not None
        edge.json = edge.json or as_json
        return context.invoke(command, edge, **arguments)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = [*getattr(command, "__click_params__", []), *wrapped.__click_params__]  # type: ignore[attr-defined]
    return wrapped  # type: ignore[return-value]


def table(rows: Sequence[dict[str, Any]], columns: dict[str, str], empty: str) -> str:
    """Rows under headings (key -> heading), numbers to the right; `empty` when there are none."""
    if not rows:
        return empty
    cells = [[_cell(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(head), *(len(line[i]) for line in cells)) for i, head in enumerate(columns.values())]
    right = [all(isinstance(row.get(key), int | float | None) for row in rows) for key in columns]
    lines = [list(columns.values()), *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 model`, `2 models`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def when(stamp: str) -> str:
    """A moment that the appliance wrote down, in this machine's own time zone and to the minute."""
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M")


def fail(error: FalajError, as_json: bool) -> NoReturn:
    """End the command with status 1: what is wrong and what to do, on stderr, or as JSON when asked for."""
    if as_json:
        click.echo(json.dumps(error.as_json(), ensure_ascii=False))
    else:
        click.echo(f"falaj: {error.message}", err=True)
        if error.hint:
            click.echo(f"       {error.hint}", err=True)
    sys.exit(1)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    if _STAMP.fullmatch(text):
        return when(text)
    return text if len(text) <= 48 else text[:45] + "..."
