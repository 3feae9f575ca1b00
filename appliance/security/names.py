"""What this machine is called: the names and addresses that its certificate is for.

They are read from the machine alone. No name server is asked: that would send a packet to somebody else.
Roles that live in a network namespace with nothing but a loopback have the egress role look.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from appliance import addresses
from appliance.config import Config
from appliance.egress import client
from appliance.egress.rules import is_address
from appliance.errors import FalajError

LOCALHOST = "localhost"
_LOOPBACKS = ("127.0.0.1", "::1")
_HOSTS = Path("/etc/hosts")
_MOST = 200  # names or addresses that another process is believed


@dataclass(frozen=True)
class Names:
    """DNS names and addresses, each once, the one to show first in front."""

    dns: tuple[str, ...]
    addresses: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.dns, *self.addresses))


def of_this_machine(told: str = "") -> Names:
    """Host name, its `.local` form, its full name, all addresses, the loopback, and what `tls.names` adds."""
    more_dns, more_addresses = addresses.names(told)
    host = socket.gethostname().lower().rstrip(".")
    short = host.partition(".")[0]
    dns = [f"{short}.local", host, short, *_full_names(short), *more_dns, LOCALHOST]
    found = [*_own_addresses(), *more_addresses, *_LOOPBACKS]
    return Names(
        tuple(dict.fromkeys(name for name in dns if addresses.is_name(name))), tuple(dict.fromkeys(found))
    )


def seen_by(config: Config) -> Names | None:
    """The names of this machine as the egress role sees them, if there is one; None while it is silent.

    Without the folder of an egress role (nothing runs, or not yet) this process looks for itself.
    """
    if not config.egress_dir.is_dir():
        return of_this_machine(config.more_names)
    try:
        found = client.machine(config.egress_dir)
    except FalajError:
        return None
    more_dns, more_addresses = addresses.names(config.more_names)
    dns = [name for name in found[0][:_MOST] if addresses.is_name(name) and name != LOCALHOST]
    heard = [one for one in found[1][:_MOST] if is_address(one) and one not in _LOOPBACKS]
    return Names(
        tuple(dict.fromkeys([*dns, *more_dns, LOCALHOST])),
        tuple(dict.fromkeys([*heard, *more_addresses, *_LOOPBACKS])),
    )


def _full_names(short: str) -> list[str]:
    """The names with dots that /etc/hosts gives this host; Debian's installer writes one there."""
    try:
        lines = _HOSTS.read_text(errors="replace").lower().splitlines()
    except OSError:
        return []
    words = [line.partition("#")[0].split()[1:] for line in lines]
    return [word for line in words if short in line for word in line if word.startswith(f"{short}.")]


def _own_addresses() -> list[str]:
    """Every address of every interface that others can write down: no IPv6 link-local ones."""
    found = []
    try:
        entries = sorted(one for every in psutil.net_if_addrs().values() for one in every)
    except OSError:  # a sandbox that keeps it from looking
        return []
    for entry in entries:
        if entry.family in (socket.AF_INET, socket.AF_INET6):
            address = ipaddress.ip_address(entry.address.partition("%")[0])
            if not (address.is_loopback or (address.version == 6 and address.is_link_local)):
                found.append(str(address))
    return sorted(found, key=lambda one: (":" in one, ipaddress.ip_address(one).packed))
