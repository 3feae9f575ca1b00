"""Addresses: what a `host` setting names, which of them need TLS, and how they are written in a link.

One rule: a loopback address is heard by this machine alone and speaks plain HTTP; every other socket
speaks TLS. `0.0.0.0` or `::` is one socket for all addresses, so it speaks TLS on the loopback too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
_WILDCARDS = ("0.0.0.0", "::")
_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def hosts(setting: str) -> list[str]:
    """The addresses that a `host` setting names. Raises ValueError saying what is wrong with it."""
    found: list[str] = []
    for word in _words(setting):
        address = _address(LOOPBACK if word == "localhost" else word)
        if address is None:
            raise ValueError(f"is not an address: {word!r}")
        if ipaddress.ip_address(address).is_multicast or "%" in address:
            raise ValueError(f"has an address that nobody can open: {word!r}")
        if address in found:
            raise ValueError(f"names {word!r} twice")
        found.append(address)
    if not found:
        raise ValueError("names no address")
    if len(found) > 1 and any(map(is_wildcard, found)):
        raise ValueError("has an address beside the one that means all of them")
    return found


def names(setting: str) -> tuple[list[str], list[str]]:
    """The DNS names and the addresses in a list of either. Raises ValueError saying what is wrong with it."""
    dns, addresses = [], []
    for word in _words(setting):
        if (address := _address(word)) is not None and "%" not in address:
            addresses.append(address)
        elif is_name(word.lower()):
            dns.append(word.lower())
        else:
            raise ValueError(f"has something that is no name and no address: {word!r}")
    return dns, addresses


def is_name(text: str) -> bool:
    """Whether a certificate may carry this as a DNS name (RFC 1123; other letters in their xn-- form)."""
    last = text.rpartition(".")[2]
    return bool(_NAME.fullmatch(text)) and not last.isdigit()


def local_name(setting: str) -> str:
    """A name for multicast DNS, or none. Raises ValueError saying what is wrong with it."""
    label, dot, last = setting.rpartition(".")
    if setting and (not is_name(setting) or "." in label or not dot or last != "local"):
        raise ValueError(f"is no single name under .local: {setting!r}")
    return setting


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address; it then speaks plain HTTP."""
    return ipaddress.ip_address(address).is_loopback


def is_wildcard(address: str) -> bool:
    return address in _WILDCARDS


def nearest(listening: Iterable[str]) -> tuple[str, bool]:
    """What a program on this machine connects to, and whether TLS is spoken there."""
    every = list(listening)
    plain = next((address for address in every if is_loopback(address)), None)
    if plain is not None:
        return plain, False
    return (LOOPBACK if is_wildcard(every[0]) else every[0]), True


def url(host: str, port: int, tls: bool) -> str:
    """A link to a name or an address."""
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def _words(setting: str) -> list[str]:
    return [word.strip() for word in setting.split(",") if word.strip()]


def _address(word: str) -> str | None:
    """An address in its usual form; one of IPv4 that is written as IPv6 is the one of IPv4."""
    try:
        found = ipaddress.ip_address(word)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
