"""Before an installed appliance starts: its master key lies sealed for this machine. Done as root, by a unit.

A key in the open is sealed, proven to open again, and only then removed: a crash in between leaves both.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from appliance import keys, sealing

log = logging.getLogger(__name__)


def seal_keys(home: Path) -> None:
    """Have keys/master.cred there, and no other. Raises FalajError when it is lost, or can't be sealed."""
    owner, folder = home.stat(), home / "keys"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, owner.st_uid, owner.st_gid)
    plain, sealed = folder / "master.key", folder / "master.cred"
    keys.refuse_lost_keys(home)
    keys.remove_unfinished(folder)
    if plain.exists():
        keys.seal_master(folder, keys.read_master(folder))
        log.info("the master key is sealed now, and lies in the open no more")
    elif not sealed.exists():
        keys.seal_master(folder, keys.new_key())
        log.info("a master key was made, sealed by %s", sealing.sealed_by(sealed.read_bytes()))
    else:
        sealing.unseal(sealed.read_bytes(), keys.CREDENTIAL)  # told here once, not by every unit
