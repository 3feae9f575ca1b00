"""Which certificate the appliance shows, and when it is made anew.

The appliance's own is kept good by `tend`, which one role calls again and again. The owner's, once brought,
is shown instead and never replaced by itself. Servers read what is shown from tmpfs and follow it there.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance import presence
from appliance.errors import Corrupted, NotFound
from appliance.home import Home
from appliance.security import certificate_store as store
from appliance.security import names as machine
from appliance.security.authority import (
    Identity,
    believable,
    fingerprint,
    issue,
    make_authority,
    named,
    split,
    why_renew,
)
from appliance.security.certificate_store import Kept
from appliance.security.names import Names
from appliance.security.own_certificate import not_covered, read_own

ROLE = "tls"  # under which a process says which certificate it shows
_LOOK = 0.05
_OWN_SOON = timedelta(days=21)
_AUTHORITY_SOON = timedelta(days=180)


class Source(StrEnum):
    AUTHORITY = "authority"  # signed by the appliance's own authority, made anew by itself
    OWN = "own"  # brought by the owner, never replaced by itself


@dataclass(frozen=True)
class Shown:
    """The certificate that the servers show, and what a client needs to check it."""

    source: Source
    certificate: x509.Certificate
    trust: str  # PEM: what a client that trusts it trusts
    not_covered: list[str]
    authority: x509.Certificate


@dataclass(frozen=True)
class Judgement:
    """Whether what is shown is good; `fix` without trouble is what to do soon."""

    ok: bool
    detail: str
    fix: str = ""


def judge(shown: Shown, now: datetime) -> Judgement:
    """What the owner has to know of the certificate; the appliance looks after all else by itself."""
    own = shown.source is Source.OWN
    ends, authority_ends = shown.certificate.not_valid_after_utc, shown.authority.not_valid_after_utc
    detail = f"{'your own' if own else 'made by the appliance'}, good until {ends:%Y-%m-%d}"
    fix = "Bring a new one (falaj certificate use), or go back to the appliance's: falaj certificate forget"
    if own and now > ends:
        return Judgement(False, f"your own expired on {ends:%Y-%m-%d}: nobody can check it", fix)
    if own:
        return Judgement(True, detail, fix if now > ends - _OWN_SOON else "")
    fix = "falaj certificate renew --new-authority, then have everybody trust the new one."
    if now > authority_ends:
        return Judgement(False, f"the authority expired on {authority_ends:%Y-%m-%d}", fix)
    if now > authority_ends - _AUTHORITY_SOON:
        return Judgement(True, f"{detail}; the authority ends on {authority_ends:%Y-%m-%d}", fix)
    return Judgement(True, detail)


def tend(home: Home, now: datetime | None = None) -> Shown:
    """Make what is missing or no longer good, and put what is shown where the servers read it."""
    with store.alone(home):
        return _tend(home, _moment(now))


def renew(home: Home, actor: str, new_authority: bool = False, now: datetime | None = None) -> Shown:
    """Make the appliance's certificate anew now, if need be under a new authority."""
    with store.alone(home):
        if new_authority:
            made = make_authority(_names(home), _moment(now))
            store.keep(home, Kept.AUTHORITY, made, actor, "asked for")
        authority = _authority(home, _moment(now))
        signed = issue(authority, _names(home), _moment(now))
        store.keep(home, Kept.SIGNED, signed, actor, "asked for")
        return _tend(home, _moment(now))


def use(home: Home, chain: str, key: str, actor: str, now: datetime | None = None) -> Shown:
    """Show the owner's certificate from now on. Raises BadInput when it is not fit for it."""
    own = read_own(chain, key, _moment(now))
    with store.alone(home):
        store.keep(home, Kept.OWN, own, actor, "brought by the owner")
        return _tend(home, _moment(now))


def forget(home: Home, actor: str) -> Shown:
    """Go back from the owner's certificate to the appliance's own. Raises NotFound when there is none."""
    with store.alone(home):
        if not store.forget(home, actor):
            raise NotFound("There is no certificate of your own here.", "See: falaj certificate show")
        return _tend(home, _moment(None))


def current(home: Home) -> Shown | None:
    """What is shown, changing nothing; None before the first start."""
    authority, signed, own = (store.load(home, kept) for kept in Kept)
    return None if authority is None or signed is None else _shown(home, authority, signed, own)


def shown_path(home: Home) -> Path:
    """The PEM file with what is shown, key included; it is made first where it isn't there."""
    path = store.shown_path(home)
    if not path.exists():
        tend(home)
    return path


def say_shown(home: Home) -> None:
    """Tell the others which certificate this process has just taken up."""
    with contextlib.suppress(OSError, ValueError):
        taken = x509.load_pem_x509_certificates(store.shown_path(home).read_bytes())[0]
        presence.announce(home.run_dir, ROLE, {"fingerprint": fingerprint(taken)})


def behind(home: Home, shown: Shown) -> list[int]:
    """The processes that speak TLS and still show another certificate."""
    told = presence.present(home.run_dir, ROLE)
    return [body["pid"] for body in told if body.get("fingerprint") != fingerprint(shown.certificate)]


def wait_until_shown(home: Home, shown: Shown, seconds: float = 5.0) -> bool:
    """Wait until every process that speaks TLS shows this certificate; False when one does not in time."""
    deadline = time.monotonic() + seconds
    while behind(home, shown):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True


def _tend(home: Home, now: datetime) -> Shown:
    authority = _authority(home, now)
    signed = _signed(home)
    why = "there was none"
    if signed is not None:
        why = why_renew(signed.certificate, authority.certificate, _names(home), now) or ""
    if signed is None or why:
        signed = issue(authority, _names(home), now)
        store.keep(home, Kept.SIGNED, signed, "system", why)
    own = store.load(home, Kept.OWN)
    store.show(home, own or signed)
    return _shown(home, authority, signed, own)


def _signed(home: Home) -> Identity | None:
    """The appliance's certificate; one that is damaged counts as none, since another is as good."""
    try:
        return store.load(home, Kept.SIGNED)
    except Corrupted:
        return None


def _authority(home: Home, now: datetime) -> Identity:
    """The authority, made where there is none.

    It is never replaced by itself, not even when it has expired: everybody would have to trust the new one,
    and a clock that was wrong for an hour would be reason enough. The doctor speaks of it in time.
    """
    found = store.load(home, Kept.AUTHORITY)
    if found is None:
        found = make_authority(_names(home), now)
        store.keep(home, Kept.AUTHORITY, found, "system", "there was none")
    return found


def _shown(home: Home, authority: Identity, signed: Identity, own: Identity | None) -> Shown:
    names, signer = _names(home), authority.certificate
    if own is not None:
        missing = not_covered(own.certificate, names)
        trust = own.certificate.public_bytes(
            Encoding.PEM
        ).decode()  # it alone: who signed it signs for others
        return Shown(Source.OWN, own.certificate, trust, missing, signer)
    trust = authority.certificates_pem().decode()
    return Shown(Source.AUTHORITY, signed.certificate, trust, split(signer, names)[1], signer)


def _names(home: Home) -> Names:
    """What the certificate should be for. While nobody sees the machine's addresses it keeps those it has."""
    seen = machine.seen_by(home.config)
    if seen is not None:
        return seen
    own, signed = machine.of_this_machine(home.config.more_names), _signed(home)
    return Names(own.dns, named(signed.certificate).addresses) if signed else own


def _moment(now: datetime | None) -> datetime:
    return believable(now or datetime.now(UTC))
