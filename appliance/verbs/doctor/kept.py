"""What is kept in the data directory: keys, databases, the audit chain, stored files, who may read them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import stat
from pathlib import Path

from appliance import config, keys
from appliance.config import SYSTEM_HOME, Config
from appliance.db import audit
from appliance.home import Home
from appliance.sealing import sealed_by
from appliance.verbs.check import Check

_ACCOUNT = "falaj"  # owns the installed appliance's data
_FEW_FILES = 0.02  # of a disk's inodes
_SHOWN = 4


def check_keys(home: Home) -> Check:
    keys.open_keys(home.path)
    if (home.path / "keys" / "master.key").exists():
        told = "the master key opens; it lies in the open beside the data, for its owner alone"
        fix = "Have it sealed: sudo systemctl restart falaj.target" if home.path == SYSTEM_HOME else ""
        return Check("keys", True, told, fix)
    try:
        by = sealed_by((home.path / "keys" / "master.cred").read_bytes())
    except FileNotFoundError:
        by, told = "", "gone"
    else:
        told = "damaged"
    if by:
        return Check("keys", True, f"the master key opens; it is sealed by {by}")
    # whoever runs holds the only copy of the key, which then is lost with the last of them
    fix = "Before anything is stopped: sudo falaj recovery make. Then stop it, and: sudo falaj recovery use"
    return Check("keys", False, f"the sealed master key is {told}: the next start can't open the data", fix)


def check_database(home: Home, name: str) -> Check:
    store = home.registry if name == "registry" else home.telemetry
    row = store.one("PRAGMA quick_check")
    verdict = str(next(iter(row.values()))) if row else "no answer"
    return Check(
        name, verdict == "ok", f"{name}.db: {verdict}", "" if verdict == "ok" else "Restore a backup."
    )


def check_audit(home: Home) -> Check:
    head = audit.read_head(home.path)
    rows = home.registry.all("SELECT * FROM audit ORDER BY seq")
    verdict = audit.verify(home.keys.key("audit"), rows, head)
    fix = "" if verdict.ok else "Compare with a backup: somebody changed the registry from outside."
    return Check("audit", verdict.ok, f"{verdict.entries} entries, {verdict.why or 'unbroken'}", fix)


def check_blobs(home: Home) -> Check:
    rows = home.registry.all("SELECT digest, owner FROM blobs ORDER BY digest")
    damaged = [row["owner"] for row in rows if not home.blobs.is_intact(row["digest"])]
    if damaged:
        named = ", ".join(sorted(set(damaged))[:5])
        return Check(
            "blobs",
            False,
            f"{len(damaged)} of {len(rows)} stored files damaged: {named}",
            "Restore a backup.",
        )
    return Check("blobs", True, f"{len(rows)} stored files, all as they were written")


def check_disk(settings: Config) -> Check:
    """Room for bytes, and for files: a disk full of small files takes no new one."""
    free = shutil.disk_usage(settings.home).free >> 20
    if free < settings.data.min_free_mb:
        return Check("disk", False, f"{free} MiB free", "Free some space.")
    found = os.statvfs(settings.home)
    share = found.f_favail / found.f_files if found.f_files else 1.0  # btrfs has no such number
    if share < _FEW_FILES:
        told = f"{free} MiB free, but room for only {found.f_favail} more files (inodes)"
        return Check("disk", False, told, "Remove files, many small ones above all.")
    return Check("disk", True, f"{free} MiB free" + (f", {share:.0%} of the inodes" if found.f_files else ""))


def check_permissions(settings: Config) -> Check:
    """Everything belongs to the owner of the data directory, and nobody else can read it."""
    home, owner = settings.home, settings.home.stat().st_uid
    if home == SYSTEM_HOME:
        try:
            owner = pwd.getpwnam(_ACCOUNT).pw_uid
        except KeyError:
            return Check("permissions", False, f"there is no account '{_ACCOUNT}'", "Run: systemd-sysusers")
    found = []
    for path in _looked_at(home):
        with contextlib.suppress(FileNotFoundError):  # a journal that went meanwhile
            found.append((path, path.lstat()))
    strange = [path for path, told in found if told.st_uid != owner]
    open_ones = [path for path, told in found if told.st_mode & 0o077 and not stat.S_ISLNK(told.st_mode)]
    problems, fixes = [], []
    if strange:
        problems.append(f"of another account: {_few(strange)}")
        fixes.append(f"chown -R {_name(owner)}: {shlex.quote(str(home))}")
    if open_ones:
        problems.append(f"others may read or write: {_few(open_ones)}")
        fixes.append(f"chmod -R go= {shlex.quote(str(home))}")
    problem = _settings_file(settings)
    if problem is not None:
        problems.append(problem[0])
        fixes.append(problem[1])
    if problems:
        return Check("permissions", False, "; ".join(problems), f"Run: {' && '.join(fixes)}")
    return Check("permissions", True, f"all belongs to {_name(owner)}, and nobody else can read it")


def _looked_at(home: Path) -> list[Path]:
    """The folder, what lies in it, its keys and certificates; stored files lie behind shut folders."""
    inside = [path for path in home.iterdir() if path.name != "falaj.toml"]
    deeper = [path for name in ("keys", "tls") if (home / name).is_dir() for path in (home / name).iterdir()]
    return [home, *sorted(inside), *sorted(deeper)]


def _settings_file(settings: Config) -> tuple[str, str] | None:
    """The installed appliance's settings: root alone may write them, every role must be able to read them."""
    file = config.settings_file(settings.home)
    if settings.home != SYSTEM_HOME or not file.exists():
        return None
    told = file.stat()
    if told.st_uid == 0 and told.st_mode & 0o022 == 0 and told.st_mode & 0o004:
        return None
    return f"{file} must be root's, and everybody's to read", f"chown root: {file} && chmod 644 {file}"


def _few(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(str, paths[:_SHOWN])) + more


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
