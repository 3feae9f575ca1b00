"""The management site: the admin page and the API behind one guard, for one appliance."""

from __future__ import annotations

import time

from appliance import admin, api
from appliance.app import App
from appliance.doors.site import Site, build
from appliance.errors import Corrupted
from appliance.home import Home
from appliance.security import certificates
from appliance.security.authority import named
from appliance.security.names import of_this_machine, seen_by

_FRESH = 10.0  # seconds; a name that was just added to the machine is known this soon


def management(app: App) -> Site:
    """The site as the admin role serves it."""
    names = _OwnNames(app.home)
    site = build(app, [api.blueprint, api.metrics, *admin.BLUEPRINTS], names, admin.error_page)
    admin.install(site)
    return site


class _OwnNames:
    """The names that this machine answers to, looked up now and then."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: set[str] = set()
        self._looked = float("-inf")

    def __call__(self) -> set[str]:
        if time.monotonic() - self._looked > _FRESH:
            seen = seen_by(self._home.config) or of_this_machine(self._home.config.more_names)
            self._known = set(seen.dns) | self._certified()
            self._looked = time.monotonic()
        return self._known

    def _certified(self) -> set[str]:
        """The names of the certificate: who brought one has vouched for them."""
        try:
            shown = certificates.current(self._home)
        except Corrupted:  # the doctor tells of it
            return set()
        return set(named(shown.certificate).dns) if shown else set()
