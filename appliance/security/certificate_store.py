"""Where certificates and their keys are kept: sealed in `tls/` of the home, and the one served on tmpfs.

A file is one certificate with its key, sealed by the key ring under its own name, and replaced as a whole:
there are no halves that do not fit. One process at a time changes anything (a lock). The entry in the audit
chain commits before the file takes its place: no certificate is ever served that the chain does not know.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from appliance.blobs import told_when_full
from appliance.db import Transaction
from appliance.errors import Corrupted
from appliance.home import Home, prepare_run_dir
from appliance.keys import sync_folder, write_file
from appliance.security.authority import Identity, fingerprint, named


class Kept(StrEnum):
    """What is kept; the values are file names."""

    AUTHORITY = "authority"  # the appliance's own authority
    SIGNED = "certificate"  # the certificate that it has signed
    OWN = "own"  # one that the owner has brought


_ACTIONS = {
    Kept.AUTHORITY: "certificate.authority",
    Kept.SIGNED: "certificate.issue",
    Kept.OWN: "certificate.use",
}


@contextlib.contextmanager
def alone(home: Home) -> Iterator[None]:
    """Hold the lock under which certificates change, against other processes and other threads."""
    folder = home.path / "tls"
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(home: Home, kept: Kept) -> Identity | None:
    """Open what is kept, None when it isn't there. Raises Corrupted when it doesn't open."""
    path = home.path / "tls" / kept
    try:
        return Identity.from_pem(home.keys.unwrap(path.read_bytes(), f"tls:{kept}"))
    except FileNotFoundError:
        return None
    except (Corrupted, ValueError) as error:
        raise Corrupted(
            f"tls/{kept} in the data directory is damaged, or of another appliance.",
            "Restore it from a backup, or remove it: it is then made anew.",
        ) from error


def keep(home: Home, kept: Kept, identity: Identity, actor: str, why: str) -> None:
    """Replace what is kept."""
    path = home.path / "tls" / kept
    staged = path.with_suffix(".new")
    with told_when_full():
        write_file(staged, home.keys.wrap(identity.pem(), f"tls:{kept}"))
        with home.registry.write() as tx:
            _audit(tx, actor, _ACTIONS[kept], identity.certificate, why)
        staged.rename(path)
        sync_folder(path.parent)


def forget(home: Home, actor: str) -> bool:
    """Remove the owner's certificate, also a damaged one; False when there is none."""
    path = home.path / "tls" / Kept.OWN
    if not path.exists():
        return False
    with home.registry.write() as tx:
        try:
            own = load(home, Kept.OWN)
        except Corrupted:
            own = None
        if own is None:
            tx.audit(actor, "certificate.forget", "certificate:damaged")
        else:
            _audit(tx, actor, "certificate.forget", own.certificate, "asked for")
    path.unlink()
    sync_folder(path.parent)
    return True


def shown_path(home: Home) -> Path:
    """The file that the servers read: the only place where a key lies in the open, on tmpfs."""
    return home.run_dir / "tls.pem"


def show(home: Home, identity: Identity) -> None:
    """Put what is served where the servers read it, unless it is there already."""
    path, content = shown_path(home), identity.pem()
    if not path.exists() or path.read_bytes() != content:
        prepare_run_dir(home.run_dir)
        write_file(path, content)


def _audit(tx: Transaction, actor: str, action: str, certificate: x509.Certificate, why: str) -> None:
    detail = {
        "why": why,
        "names": [*named(certificate)],
        "until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
    }
    tx.audit(actor, action, f"certificate:{fingerprint(certificate)}", detail)
