"""Verbs on the appliance as a whole: is all well, and if not, what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from appliance import keys, presence
from appliance.app import App
from appliance.db import Row, audit
from appliance.errors import FalajError
from appliance.home import Home
from appliance.registry import alerts, datasets, deployments, models
from appliance.registry.deployments import DeploymentState
from appliance.security import certificates
from appliance.verbs import troubles
from appliance.verbs.call import Call
from appliance.verbs.certificates import links, own_address

_T = TypeVar("_T")

_LOADING = "it is being loaded"
ROLES = {"inference": "inference-worker", "admin": "admin", "worker": "worker"}
_BOUNDS = {
    "limits": "limits of their process",
    "groups": "limits of their process and a control group",
}


def status(app: App, call: Call) -> Row:
    """Whether every role is there and ready, what each one says, and what is wrong. Never fails.

    What the registry can't tell at the moment is null.
    """
    roles = {name: _role(app.home, name, kind) for name, kind in ROLES.items()}
    counts = {
        "datasets": _unless_unreadable(lambda: len(datasets.names(app.home.registry))),
        "models": _unless_unreadable(lambda: len(models.names(app.home.registry))),
        "alerts": _unless_unreadable(lambda: len(alerts.unresolved(app.home.registry))),
    }
    return {
        "ready": all(role["ready"] for role in roles.values()),
        "roles": roles,
        **counts,
        "troubles": _troubles(app.home, roles["inference"]["lost"]),  # after all looks at the registry
    }


def _links(home: Home, name: str) -> list[str]:
    return _unless_unreadable(lambda: links(home, name)) or [own_address(home, name)]


def _troubles(home: Home, missing: dict[str, str]) -> list[Row]:
    found = [trouble.as_json() for trouble in troubles.find(home)]
    for version, why in sorted(missing.items()):
        if why != _LOADING:
            told = {
                "trouble": f"{version} should answer and does not: {why}",
                "fix": "Deploy another version.",
            }
            found.append(told)
    return found


def _unless_unreadable(look: Callable[[], _T]) -> _T | None:
    try:
        return look()
    except (FalajError, OSError):
        return None


def _role(home: Home, name: str, kind: str) -> Row:
    found = presence.present(home.run_dir, kind)
    wanted = home.config.inference_workers if name == "inference" else 1
    role: Row = {
        "ready": len(found) >= wanted and all(body["ready"] for body in found),
        "pids": [body["pid"] for body in found],
    }
    if name == "inference":
        served = {
            model: told["version"] for body in found for model, told in body["models"].items() if told["live"]
        }
        role |= {
            "address": own_address(home, name),
            "addresses": _links(home, name),
            "workers": len(found),
            "serving": served,
            "lost": _unless_unreadable(lambda: lost(home, found)) or {},
        }
        role |= _crew(home)
    if name == "admin":
        role |= {"address": own_address(home, name), "addresses": _links(home, name)}
    return role


def _crew(home: Home) -> Row:
    """Between how many workers the load may choose, and the mean part of a core that each one uses."""
    told = next(iter(presence.present(home.run_dir, "inference")), {})
    shares = list(told.get("busy", {}).values())
    return {
        "floor": home.config.inference_workers,
        "ceiling": home.config.inference_workers_max,
        "busy": round(min(1.0, sum(shares) / len(shares)), 2) if shares else None,
    }


def lost(home: Home, workers: list[Row]) -> dict[str, str]:
    """The live versions that some running worker does not answer for, and why."""
    found: dict[str, str] = {}
    for deployment in deployments.serving(home.registry):
        for body in workers:
            held = {told["live"] for told in body["models"].values()}
            if deployment.state is DeploymentState.LIVE and deployment.id not in held:
                name = f"{deployment.model}:{deployment.version}"
                found[name] = body["failed"].get(str(deployment.id), _LOADING)
    return found


@dataclass(frozen=True)
class Check:
    """One thing that `falaj doctor` looked at."""

    check: str
    ok: bool
    detail: str
    fix: str = ""


def doctor(app: App, call: Call) -> list[Row]:
    """All checks; works also while nothing runs."""
    return [vars(check) for check in examine(app.home)]


def examine(home: Home) -> list[Check]:
    checks: list[tuple[str, Callable[[Home], Check]]] = [
        ("keys", _check_keys),
        ("registry", lambda home: _check_database(home, "registry")),
        ("telemetry", lambda home: _check_database(home, "telemetry")),
        ("audit", _check_audit),
        ("blobs", _check_blobs),
        ("disk", _check_disk),
        ("certificate", _check_certificate),
        ("roles", _check_roles),
        ("deployed", _check_deployed),
    ]
    found = []
    for name, check in checks:
        try:
            found.append(check(home))
        except FalajError as error:
            found.append(Check(name, False, error.message, error.hint))
    return found


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
