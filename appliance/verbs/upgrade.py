"""Upgrades: which version runs, what holds a newer one, and what was kept before it."""

from __future__ import annotations

from appliance import __version__
from appliance.app import App
from appliance.config import Config
from appliance.db import Row
from appliance.upgrade import held, snapshots
from appliance.verbs.call import Call
from appliance.verbs.check import Check
from appliance.verbs.troubles import held_trouble


def show(app: App, call: Call) -> Row:
    """The version that runs, the upgrade that is held and why, and the snapshots, newest first."""
    found = held.read(app.home.path)
    return {
        "version": __version__,
        "held": None if found is None else found.as_json(),
        "snapshots": [one.as_json() for one in snapshots.all_of(app.home.path)],
    }


def check(settings: Config) -> Check:
    """For the doctor."""
    found = held.read(settings.home)
    if found is None:
        return Check("upgrade", True, f"version {__version__} runs; none is held")
    told = held_trouble(found).as_json()
    return Check("upgrade", False, told["trouble"], told["fix"])
