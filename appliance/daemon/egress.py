"""The egress role's main function, apart from the others': it opens no home, and imports next to nothing."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import threading
from pathlib import Path

from appliance import addresses, config
from appliance.config import SYSTEM_HOME, Config
from appliance.daemon.notify import Manager
from appliance.egress.broker import Broker
from appliance.errors import FalajError
from appliance.security.names import of_this_machine

log = logging.getLogger(__name__)


def egress(home: Path, listening: list[socket.socket], manager: Manager) -> None:
    """Answer on the socket that was handed over, else on one of its own, until SIGTERM."""
    place = Config(home=home).egress_dir
    if not place.is_dir():
        raise FalajError(f"{place} is missing.", "It is made at the start of the appliance: falaj run")
    with Broker(place, of_this_machine, listening[0] if listening else None) as broker:

        def stop(signum: int, frame: object) -> None:
            manager.stopping()
            threading.Thread(target=broker.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _announce(home)
        manager.watch(lambda: "", "calls out are answered")
        log.info("Calls out are answered in %s", place)
        broker.serve_forever(poll_interval=0.1)


def _announce(home: Path) -> None:
    """Announce the admin page's name, if it has one and other machines can open it."""
    try:
        settings = _settings(home)
    except FalajError as error:  # the other roles tell of it, and don't start
        log.warning("nothing is announced: %s", error.message)
        return
    told, name = addresses.hosts(settings.admin.host), settings.mdns.name
    if not name or all(map(addresses.is_loopback, told)):
        return
    from appliance.egress.announce import announce

    def heard() -> list[str]:
        own = of_this_machine().addresses
        return [one for one in own if one in told or any(map(addresses.is_wildcard, told))]

    threading.Thread(
        target=announce, args=(name, settings.admin.port, heard), name="falaj-name", daemon=True
    ).start()


def _settings(home: Path) -> Config:
    """The settings as far as this account may read them: it may have no business in the home."""
    if home == SYSTEM_HOME or os.access(home, os.X_OK):  # the former's settings lie in /etc
        return config.load(home)
    return dataclasses.replace(config.load(Path(os.devnull)), home=home)
