"""Verbs on alerts."""

from __future__ import annotations

from appliance.app import App
from appliance.db import Row
from appliance.errors import BadInput
from appliance.registry import alerts
from appliance.verbs.call import Call


def ls(app: App, call: Call) -> list[Row]:
    """The alerts that still hold; with `all`, the newest of all."""
    found = alerts.recent(app.home.registry) if call.flag("all") else alerts.unresolved(app.home.registry)
    return [alert.summary() for alert in found]


def acknowledge(app: App, call: Call) -> Row:
    """Say that somebody knows of it."""
    id = _id(call)
    with app.home.registry.write() as tx:
        alerts.acknowledge(tx, id, call.actor)
        return alerts.find(tx, id).summary()


def resolve(app: App, call: Call) -> Row:
    """Say that it is dealt with; if it goes on, a new alert is opened."""
    id = _id(call)
    with app.home.registry.write() as tx:
        alerts.resolve(tx, id, call.actor)
        return alerts.find(tx, id).summary()


def _id(call: Call) -> int:
    told = call.text("alert")
    if not (told.isascii() and told.isdigit() and len(told) < 16):
        raise BadInput(f"'{told[:40]}' is no alert: alerts have numbers.", "See: falaj alert ls")
    return int(told)
