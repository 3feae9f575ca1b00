"""The egress role's main function, apart from the others': it opens no home, and imports next to nothing."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from pathlib import Path

from appliance.config import Config
from appliance.egress.broker import Broker
from appliance.errors import FalajError
from appliance.security.names import of_this_machine

log = logging.getLogger(__name__)


def egress(home: Path, listening: list[socket.socket]) -> None:
    """Answer on the socket that was handed over, else on one of its own, until SIGTERM."""
    place = Config(home=home).egress_dir
    if not place.is_dir():
        raise FalajError(f"{place} is missing.", "It is made at the start of the appliance: falaj run")
    with Broker(place, of_this_machine, listening[0] if listening else None) as broker:

        def stop(signum: int, frame: object) -> None:
            threading.Thread(target=broker.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        log.info("Calls out are answered in %s", place)
        broker.serve_forever(poll_interval=0.1)
