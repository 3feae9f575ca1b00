"""The management site: the admin page and the API behind one guard, for one appliance."""

from __future__ import annotations

import socket

from appliance import admin, api
from appliance.app import App
from appliance.doors.site import Site, build


def management(app: App) -> Site:
    """The site as the admin role serves it."""
    site = build(app, [api.blueprint, *admin.BLUEPRINTS], own_names, admin.error_page)
    admin.install(site)
    return site


def own_names() -> set[str]:
    """The names that this machine answers to."""
    host = socket.gethostname().lower()
    return {"localhost", host, f"{host.partition('.')[0]}.local"}
