"""Verbs on settings: which hold, where each comes from, and what the settings file says for the next start.

Changing them is no verb: the settings file is the server administrator's, and what a page could change, a
stolen session could. `falaj config set` edits it.
"""

from __future__ import annotations

from typing import Any

from appliance import config
from appliance.app import App
from appliance.config import Config
from appliance.db import Row
from appliance.errors import FalajError, NotFound
from appliance.verbs.call import Call


def ls(app: App, call: Call) -> Row:
    """Every setting, or those of one section: value, where it comes from, and what holds after a restart."""
    section = call.optional("section")
    if section is not None and section not in config.SECTIONS:
        raise NotFound(
            f"There is no section '{section[:60]}'.", f"Sections are: {', '.join(config.SECTIONS)}."
        )
    return told(app.home.config, section)


def told(held: Config, section: str | None = None) -> Row:
    """`held`: what the processes that run were started with; the file may say something else by now."""
    file = config.settings_file(held.home)
    found: Row = {"file": str(file), "exists": file.exists(), "problem": None, "settings": []}
    coming: Config | None = None
    try:
        coming = config.load(held.home)
    except FalajError as error:
        found["problem"] = error.as_json()
    for name, key, _kind, default, help in config.settings():
        if section in (None, name):
            found["settings"].append(_row(held, coming, f"{name}.{key}", default, help))
    return found


def _row(held: Config, coming: Config | None, setting: str, default: Any, help: str) -> Row:
    value = held.value(setting)
    later = value if coming is None else coming.value(setting)
    return {
        "setting": setting,
        "value": value,
        "default": default,
        "source": held.told_by.get(setting, "default"),
        "changed": value != default,
        "next": None if later == value else later,
        "help": help,
    }
