"""The appliance's name in the office network (multicast DNS), for as long as the egress role runs.

Announced are a name under `.local` and the admin page as `_https._tcp`, at the addresses where it listens.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

from zeroconf import Error, ServiceInfo, Zeroconf

from appliance.addresses import is_loopback

log = logging.getLogger(__name__)

_LOOK = 10.0
_SERVICE = "_https._tcp.local."


def announce(name: str, port: int, addresses: Callable[[], list[str]]) -> None:
    """Announce for good, anew whenever the addresses change; never fails."""
    known: list[str] = []
    speaker: Zeroconf | None = None
    while True:
        try:
            found = sorted(one for one in addresses() if not is_loopback(one))
            if found != known:
                if speaker is not None:
                    speaker.close()
                    speaker = None
                speaker, known = _speak(name, port, found) if found else None, found
                log.info("announced as %s: %s", name, ", ".join(found) or "nowhere")
        except (Error, OSError, ValueError, AssertionError) as error:
            log.warning("%s could not be announced, and is tried again: %s", name, type(error).__name__)
        time.sleep(_LOOK)


def _speak(name: str, port: int, addresses: list[str]) -> Zeroconf:
    speaker = Zeroconf(interfaces=addresses)
    packed = [socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in addresses]
    label = name.removesuffix(".local")
    info = ServiceInfo(
        _SERVICE, f"{label}.{_SERVICE}", port, addresses=packed, server=f"{name}.", properties={"path": "/"}
    )
    try:
        speaker.register_service(info, allow_name_change=True)
    except BaseException:
        speaker.close()
        raise
    return speaker
