"""Becoming the owner of a home for good: root opens the keys, and nothing else, before that."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def become_owner_of(path: Path) -> None:
    """Give up being root for the account that a folder belongs to; any other account stays what it is."""
    if os.geteuid() != 0:
        return
    found = path.stat()
    if found.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(found.st_uid).pw_name, found.st_gid)
    except KeyError:  # an account without a name
        os.setgroups([])
    os.setresgid(found.st_gid, found.st_gid, found.st_gid)
    os.setresuid(found.st_uid, found.st_uid, found.st_uid)
