"""Verbs on the certificate under which other machines reach the appliance."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding

from appliance import addresses, clock
from appliance.app import App
from appliance.db import Row
from appliance.errors import Corrupted, NotFound
from appliance.home import Home
from appliance.security import certificates
from appliance.security.authority import fingerprint, is_public, named
from appliance.security.certificates import Shown, Source
from appliance.security.names import LOCALHOST
from appliance.verbs.call import Call

_OWNER_NEEDS_MORE = "Bring one that is also for these names: falaj certificate use"
_NEEDS_MORE = (
    "Bring a certificate of your own (falaj certificate use), or make a new authority, which everybody has"
    " to trust anew: falaj certificate renew --new-authority"
)
_PUBLIC = "Sites of the internet lie below such a name, so the authority leaves it out: use it with .local"


def show(app: App, call: Call) -> Row:
    """The certificate that is shown to others, and where they can open the appliance."""
    return _told(app.home, _current(app.home))


def ca(app: App, call: Call) -> Row:
    """The certificate of the appliance's own authority, which other machines are to trust."""
    authority = _current(app.home).authority
    return {
        "certificate": authority.public_bytes(Encoding.PEM).decode(),
        "fingerprint": fingerprint(authority),
        "not_after": clock.stamp(authority.not_valid_after_utc),
    }


def renew(app: App, call: Call) -> Row:
    """Make the appliance's certificate anew now; with `new_authority` under a new authority."""
    new_authority = call.flag("new_authority")
    return _in_use(app.home, certificates.renew(app.home, call.actor, new_authority))


def use(app: App, call: Call) -> Row:
    """Show the owner's certificate from now on: `certificate` and `key`, both as PEM text."""
    shown = certificates.use(app.home, call.text("certificate"), call.text("key"), call.actor)
    return _in_use(app.home, shown)


def forget(app: App, call: Call) -> Row:
    """Go back to the appliance's own certificate."""
    return _in_use(app.home, certificates.forget(app.home, call.actor))


def links(home: Home, section: str, tls_only: bool = False) -> list[str]:
    """Where `inference` or `admin` can be opened: plain on this machine first, then by name, then address."""
    settings = getattr(home.config, section)
    listening = addresses.hosts(settings.host)
    plain = [] if tls_only else [host for host in listening if addresses.is_loopback(host)]
    found = [addresses.url(host, settings.port, tls=False) for host in plain]
    outside = [host for host in listening if not addresses.is_loopback(host)]
    if outside:
        found += [addresses.url(name, settings.port, tls=True) for name in _reached_by(home, outside)]
    return found


def _reached_by(home: Home, outside: list[str]) -> list[str]:
    """The names and addresses that lead to sockets outside the loopback and that the certificate is for."""
    try:
        shown = certificates.current(home)
    except Corrupted:  # the doctor tells of it
        shown = None
    if shown is None:
        return outside
    found = named(shown.certificate)
    dns = [name for name in found.dns if name != LOCALHOST and not name.startswith("*")]
    every = addresses.is_wildcard(outside[0])
    heard = [one for one in found.addresses if not addresses.is_loopback(one) and (every or one in outside)]
    return [*dns, *heard] or [one for one in outside if not every]


def own_address(home: Home, section: str) -> str:
    """The link that a program on this machine uses."""
    settings = getattr(home.config, section)
    host, tls = addresses.nearest(addresses.hosts(settings.host))
    return addresses.url(host, settings.port, tls)


def page_address(home: Home) -> str:
    """Where people open the admin page: plainly on this machine, else by a name of the certificate."""
    return next(iter(links(home, "admin")), own_address(home, "admin"))


def _in_use(home: Home, shown: Shown) -> Row:
    """What is shown now, once the servers have taken it up; `in_force` is false when one has not yet."""
    in_force = certificates.wait_until_shown(home, shown)
    return _told(home, shown) | {"in_force": in_force}


def _current(home: Home) -> Shown:
    shown = certificates.current(home)
    if shown is None:
        raise NotFound("There is no certificate yet.", "It is made at the first start: falaj run")
    return shown


def _told(home: Home, shown: Shown) -> Row:
    found, certificate = named(shown.certificate), shown.certificate
    return {
        "source": shown.source.value,
        "names": list(found.dns),
        "addresses": list(found.addresses),
        "not_covered": shown.not_covered,
        "fix": _fix(shown),
        "not_before": clock.stamp(certificate.not_valid_before_utc),
        "not_after": clock.stamp(certificate.not_valid_after_utc),
        "fingerprint": fingerprint(certificate),
        "authority": {
            "fingerprint": fingerprint(shown.authority),
            "not_after": clock.stamp(shown.authority.not_valid_after_utc),
        },
        "open": {section: links(home, section, tls_only=True) for section in ("admin", "inference")},
        "trust": shown.trust,
    }


def _fix(shown: Shown) -> str:
    """What to do about the names that are not covered."""
    if not shown.not_covered:
        return ""
    if shown.source is Source.OWN:
        return _OWNER_NEEDS_MORE
    return _PUBLIC if all(map(is_public, shown.not_covered)) else _NEEDS_MORE
