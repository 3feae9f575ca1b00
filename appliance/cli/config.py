"""Commands on the settings: which hold, and changing the settings file without an editor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from appliance import config as table_of
from appliance.cli import settings_file
from appliance.cli.edge import Edge, plural, with_edge
from appliance.cli.services import failed, systemctl
from appliance.errors import BadInput, FalajError, NotFound, Unavailable
from appliance.verbs.settings import told


@click.group()
def config() -> None:
    """Settings: which hold, and changing them."""


@config.command("ls")
@click.argument("section", required=False)
@with_edge
def config_ls(edge: Edge, section: str | None) -> None:
    """List the settings, or one SECTION of them.

    * marks what is not the default; each line names where its value comes from.
    """
    found = _found(edge, section)
    lines: list[str] = []
    width = max(len(row["setting"]) for row in found["settings"]) + 2
    for row in found["settings"]:
        mark = "*" if row["changed"] else " "
        lines.append(f"{mark} {row['setting']:<{width}}{_shown(row['value'])}{_notes(row)}")
        lines.append(f"    {row['help']}")
    lines += ["", f"Settings file: {found['file']}{'' if found['exists'] else ' (not there)'}"]
    if found["problem"]:
        lines += [f"The next start would refuse it: {found['problem']['error']}", found["problem"]["hint"]]
    elif any(row["next"] is not None for row in found["settings"]):
        lines.append("It was changed since the start. " + _AGAIN)
    edge.done(found, "\n".join(lines))


@config.command("get")
@click.argument("setting")
@with_edge
def config_get(edge: Edge, setting: str) -> None:
    """Print the value of a SETTING."""
    table_of.default(setting)
    rows = _found(edge, setting.partition(".")[0])["settings"]
    row = next(row for row in rows if row["setting"] == setting)
    edge.done(row, str(row["value"]))


@config.command("set", context_settings={"ignore_unknown_options": True})  # such as -1
@click.argument("setting")
@click.argument("value")
@click.option("--no-restart", is_flag=True, help="Change the file only; the next start reads it.")
@with_edge
def config_set(edge: Edge, setting: str, value: str, no_restart: bool) -> None:
    """Change a SETTING to VALUE.

    For example: falaj config set inference.port 7701. A wrong value changes nothing.
    """
    _changed(edge, setting, settings_file.set_value(edge.home, setting, value), no_restart)


@config.command("unset")
@click.argument("setting")
@click.option("--no-restart", is_flag=True, help="Change the file only; the next start reads it.")
@with_edge
def config_unset(edge: Edge, setting: str, no_restart: bool) -> None:
    """Go back to the default of a SETTING."""
    _changed(edge, setting, settings_file.unset(edge.home, setting), no_restart)


@config.command("check")
@click.argument("file", required=False)
@with_edge
def config_check(edge: Edge, file: str | None) -> None:
    """Say whether a start would accept a FILE.

    Without FILE it is the settings file in use. Nothing is changed.
    """
    path = Path(file) if file else table_of.settings_file(edge.home)
    try:
        content = path.read_text()
    except FileNotFoundError as error:
        if file is None:
            return edge.done(
                {"file": str(path), "ok": True, "settings": []}, f"There is no {path}: defaults hold."
            )
        raise NotFound(f"There is no file {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as text.", "Check the path, and whose file it is.") from error
    given = sorted(table_of.load(edge.home, {}, written=content, file=path).told_by)
    edge.done(
        {"file": str(path), "ok": True, "settings": given},
        f"{path} is right: {plural(len(given), 'setting')}." + "".join(f"\n  {name}" for name in given),
    )


_AGAIN = "Start the appliance anew for it to hold."


def _found(edge: Edge, section: str | None) -> dict[str, Any]:
    """What the appliance runs with; what the next start would take, when nothing runs."""
    try:
        found: dict[str, Any] = edge.call("config.ls", section=section)
    except Unavailable:
        if section is not None and section not in table_of.SECTIONS:
            raise NotFound(
                f"There is no section '{section}'.", f"Sections are: {', '.join(table_of.SECTIONS)}."
            ) from None
        found = told(table_of.load(edge.home), section)
    return found


def _changed(edge: Edge, setting: str, edited: settings_file.Edited, no_restart: bool) -> None:
    same = edited.old == edited.new
    restarted = not same and not no_restart and _restart(edge.home)
    if restarted and (broken := failed()):
        before = f"unset {setting}" if edited.old is None else f"set {setting} {_shown(edited.old)}"
        raise FalajError(
            f"{setting} is changed, but now does not start: {', '.join(broken)}.",
            f"sudo falaj doctor says why. To take it back: sudo falaj config {before}",
        )
    result = {"setting": setting, "old": edited.old, "value": edited.new, "file": str(edited.file)}
    lines = [f"{setting} is {_shown(edited.new)} in {edited.file}."]
    if edited.new is None:
        lines = [f"{setting} is no longer in {edited.file}."]
    elif not same:
        lines = [f"{setting}: {_shown(edited.old)} -> {_shown(edited.new)}, in {edited.file}."]
    variable = "FALAJ_" + setting.replace(".", "_").upper()
    if variable in os.environ:
        lines.append(f"{variable} is set in the environment here, and counts more than the file.")
    if restarted:
        lines.append("The appliance was started anew with it.")
    elif not same:
        lines.append(_AGAIN)
    edge.done(result | {"restarted": restarted}, "\n".join(lines))


def _restart(home: Path) -> bool:
    """Have systemd start the installed appliance anew, its sockets too; whether it was told to."""
    if not table_of.under_systemd(home):
        return False
    try:
        systemctl("daemon-reload")
        systemctl("restart", "falaj.target")
    except FalajError as error:
        raise FalajError(
            f"The setting is written, but the appliance was not started anew. {error.message}", error.hint
        ) from error
    return True


def _shown(value: Any) -> str:
    return (
        f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _notes(row: dict[str, Any]) -> str:
    notes = [] if row["source"] == "default" else [f"from the {row['source']}"]
    if row["changed"]:
        notes.append(f"default {_shown(row['default'])}")
    if row["next"] is not None:
        notes.append(f"{_shown(row['next'])} after a restart")
    return f"   ({'; '.join(notes)})" if notes else ""


COMMANDS = [config]
