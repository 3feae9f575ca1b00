"""Which addresses may be called. Pure: texts in, rules and answers out.

A rule is a host and a port. The host is a DNS name, `*.name` for all names below one (not for itself), or an
address written down. Only an address that is written down opens one of this machine's own (`inside`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance import addresses
from appliance.errors import BadInput

HTTPS = 443
_EXAMPLE = "For example: api.example.com, *.example.com:8443, 192.168.1.20:8080 or [2001:db8::1]:443"
_HERE = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_NO_HOST = ipaddress.ip_network("0.0.0.0/8")  # RFC 1122: this host


@dataclass(frozen=True)
class Rule:
    """One address that may be called; `host` as `parse` gives it."""

    host: str
    port: int

    def __str__(self) -> str:
        return shown(self.host, self.port)


def allowed(rules: Iterable[Rule], host: str, port: int) -> bool:
    """Whether a rule lets somebody call this host and port."""
    wanted = plain_host(host)
    return any(rule.port == port and _covers(rule.host, wanted) for rule in rules)


def _covers(rule: str, host: str) -> bool:
    if rule.startswith("*."):
        return is_address(host) is None and host.endswith(rule[1:]) and len(host) > len(rule[1:])
    return rule == host


def inside(address: str, own: Collection[str] = ()) -> str:
    """Why no name may lead to this address, in a few words; empty for an address outside this machine."""
    found = is_address(address.partition("%")[0])
    if found is None:
        return "no address"
    if found.is_loopback or str(found) in own:
        return "this machine itself"
    if found.is_unspecified or (found.version == 4 and found in _NO_HOST):
        return "no machine"
    if found.is_link_local:
        return "the cable itself (link-local)"
    return "many machines at once (multicast)" if found.is_multicast else ""


def parse(text: str) -> Rule:
    """`HOST` or `HOST:PORT` as a rule. Raises BadInput saying what is wrong with it."""
    told = text.strip()
    host, port = _split(told)
    if "/" in told or "@" in told:
        raise BadInput(f"{told[:80]!r} is no host and port.", f"Leave out all but these two. {_EXAMPLE}")
    if host.startswith("*."):
        if not addresses.is_name(host[2:]) or "." not in host[2:]:
            raise BadInput(f"{host[:80]!r} would allow half the internet, or is no name.", _EXAMPLE)
        return Rule(host, port)
    address = is_address(host)
    if address is None and not addresses.is_name(host):
        hint = f"Names in other letters are written in their xn-- form. {_EXAMPLE}"
        raise BadInput(f"{host[:80]!r} is neither a name nor an address.", hint)
    if host in _HERE:
        raise BadInput(
            f"'{host}' is this machine itself, and names may not lead to it.",
            f"If that is what you want, write its address: {shown(addresses.LOOPBACK, port)}",
        )
    if address is not None and (address.is_unspecified or address.is_multicast):
        raise BadInput(f"{host} is no address of one machine.", _EXAMPLE)
    return Rule(host, port)


def plain_host(host: str) -> str:
    """A host in the one form in which hosts are compared: small letters, no last dot, addresses as usual."""
    told = host.strip().lower().removesuffix(".").removeprefix("[").removesuffix("]")
    address = is_address(told)
    return told if address is None else str(address)


def is_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is; one of IPv4 that is written as IPv6 is the one of IPv4. No zones."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return None if found.scope_id else found.ipv4_mapped or found
    return found


def shown(host: str, port: int) -> str:
    """Host and port as they are written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bare = is_address(text.removeprefix("[").removesuffix("]")) is not None
    if not colon or bare:
        return plain_host(text), HTTPS
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise BadInput(f"{port[:20]!r} is no port.", f"Ports are numbers from 1 to 65535. {_EXAMPLE}")
    return plain_host(host), int(port)
