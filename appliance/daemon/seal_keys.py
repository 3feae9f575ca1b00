"""Before an installed appliance starts: its master key lies sealed for this machine. Done as root, by a unit.

A key in the open is proven to fit the data, sealed, proven to open again, and only then removed: a crash in
between leaves both. The folder is of an account that root does not trust: links in it are not followed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from appliance import keys, sealing
from appliance.blobs import told_when_full
from appliance.errors import Corrupted, FalajError

log = logging.getLogger(__name__)


def seal_keys(home: Path) -> None:
    """Have keys/master.cred there and no other, or keys/master.key where this machine can't seal.

    Raises FalajError when the key is lost, doesn't open here, or does not fit the data.
    """
    try:
        with told_when_full():
            _seal_keys(home)
    except OSError as error:
        raise FalajError(
            f"{error.filename or home} can't be used: {error.strerror or error}.",
            f"See that {home} is there, on a disk that works, and act as root.",
        ) from error


def _seal_keys(home: Path) -> None:
    owner, folder = home.stat(), home / "keys"
    plain, sealed = folder / "master.key", folder / "master.cred"
    _refuse_links(folder, plain, sealed)
    if not folder.exists():
        folder.mkdir(mode=0o700)
    os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)  # also one whose making was cut short
    keys.refuse_lost_keys(home)
    keys.remove_unfinished(folder)
    if plain.exists():
        _keep(folder, _fitting(folder), "the master key is sealed now, and lies in the open no more")
    elif not sealed.exists():
        _keep(folder, keys.new_key(), "a master key was made and sealed")
    else:
        sealing.unseal(sealed.read_bytes(), keys.CREDENTIAL)  # told here once, not by every unit


def _keep(folder: Path, master: bytes, told: str) -> None:
    if why := keys.keep_master(folder, master):
        log.warning("the master key lies in the open, beside the data: %s %s", why.message, why.hint)
    else:
        log.info("%s, by %s", told, sealing.sealed_by((folder / "master.cred").read_bytes()))


def _fitting(folder: Path) -> bytes:
    """The key in the open; one of other data must not take the place of the sealed one. Raises Corrupted."""
    master = keys.read_master(folder)
    if (folder / "wrapped.json").exists():
        try:
            keys.open_with(master, folder)
        except Corrupted as error:
            if not (folder / "master.cred").exists():
                raise
            raise Corrupted(
                "keys/master.key does not fit the data, and keys/master.cred lies beside it.",
                "Move keys/master.key away if it is not of this data: the sealed one is used then.",
            ) from error
    return master


def _refuse_links(*paths: Path) -> None:
    for path in paths:
        if path.is_symlink():
            raise Corrupted(f"{path} is a link.", "Put there what it leads to: root does not follow it.")
