"""`falaj doctor`: everything that can be wrong with the appliance, each with what to do about it.

Works also while nothing runs. A check is a function of the home; the table at the end names all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from appliance import keys, presence
from appliance.app import App
from appliance.db import Row, audit
from appliance.errors import FalajError
from appliance.home import Home
from appliance.security import certificates
from appliance.verbs import egress
from appliance.verbs.call import Call
from appliance.verbs.check import Check
from appliance.verbs.system import ROLES, lost

_BOUNDS = {
    "limits": "limits of their process",
    "groups": "limits of their process and a control group",
}


def _check_keys(home: Home) -> Check:
    keys.open_keys(home.path)
    return Check("keys", True, "the key file opens and only its owner can read it")


def _check_database(home: Home, name: str) -> Check:
    store = home.registry if name == "registry" else home.telemetry
    row = store.one("PRAGMA quick_check")
    verdict = str(next(iter(row.values()))) if row else "no answer"
    return Check(
        name, verdict == "ok", f"{name}.db: {verdict}", "" if verdict == "ok" else "Restore a backup."
    )


def _check_audit(home: Home) -> Check:
    head = audit.read_head(home.path)
    rows = home.registry.all("SELECT * FROM audit ORDER BY seq")
    verdict = audit.verify(home.keys.key("audit"), rows, head)
    fix = "" if verdict.ok else "Compare with a backup: somebody changed the registry from outside."
    return Check("audit", verdict.ok, f"{verdict.entries} entries, {verdict.why or 'unbroken'}", fix)


def _check_blobs(home: Home) -> Check:
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


def _check_disk(home: Home) -> Check:
    free = shutil.disk_usage(home.path).free >> 20
    needed = home.config.data.min_free_mb
    return Check("disk", free >= needed, f"{free} MiB free", "" if free >= needed else "Free some space.")


def _check_certificate(home: Home) -> Check:
    """What other machines are shown, and, if need be, what only the owner can mend."""
    shown = certificates.current(home)
    if shown is None:
        return Check("certificate", True, "none yet: it is made at the first start")
    if late := certificates.behind(home, shown):
        told = f"process {late[0]} still shows an older certificate"
        return Check("certificate", False, told, "Stop the appliance and start it again.")
    verdict = certificates.judge(shown, datetime.now(UTC))
    return Check("certificate", verdict.ok, verdict.detail, verdict.fix)


def _check_roles(home: Home) -> Check:
    missing = [name for name, kind in ROLES.items() if not presence.present(home.run_dir, kind)]
    if missing:
        return Check(
            "roles", False, f"not running: {', '.join(missing)}", "Start the appliance with: falaj run"
        )
    bound = {_BOUNDS[body["bounds"]] for body in presence.present(home.run_dir, "worker")}
    told = "".join(f"; jobs are bound by {one}" for one in bound)
    return Check("roles", True, f"inference, admin and worker are running{told}")


def _check_deployed(home: Home) -> Check:
    """Every worker that runs must answer for every version that the registry calls live."""
    workers = presence.present(home.run_dir, "inference-worker")
    if not workers:
        return Check("deployed", True, "not checked: no inference worker is running")
    missing = lost(home, workers)
    if missing:
        named = "; ".join(f"{name}: {why}" for name, why in sorted(missing.items()))
        return Check("deployed", False, f"not answering: {named}", "Deploy another version.")
    return Check("deployed", True, "every deployed version answers")


CHECKS: dict[str, Callable[[Home], Check]] = {
    "keys": _check_keys,
    "registry": lambda home: _check_database(home, "registry"),
    "telemetry": lambda home: _check_database(home, "telemetry"),
    "audit": _check_audit,
    "blobs": _check_blobs,
    "disk": _check_disk,
    "certificate": _check_certificate,
    "roles": _check_roles,
    "deployed": _check_deployed,
    "egress": egress.check,
}


def examine(home: Home) -> list[Check]:
    """Every check; one that fails with an error is told by that error."""
    found = []
    for name, check in CHECKS.items():
        try:
            found.append(check(home))
        except FalajError as error:
            found.append(Check(name, False, error.message, error.hint))
    return found


def doctor(app: App, call: Call) -> list[Row]:
    """All checks; works also while nothing runs."""
    return [vars(check) for check in examine(app.home)]
