"""`falaj doctor`: everything that can be wrong with the appliance, each with what to do about it.

Works also while nothing runs, and where the data directory can't be opened. A check of the surroundings is a
function of the settings, one of what is kept a function of the home; the tables name all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from appliance import config
from appliance.app import App
from appliance.config import Config
from appliance.db import Row
from appliance.errors import FalajError
from appliance.home import Home
from appliance.verbs import egress, gpu, recovery, upgrade
from appliance.verbs.call import Call
from appliance.verbs.check import Check
from appliance.verbs.doctor import configured, kept, machine, ports, running, units, versions

_T = TypeVar("_T", Home, Config)

SURROUNDINGS: dict[str, Callable[[Config], Check]] = {
    "settings": configured.check_settings,
    "program": versions.check_program,
    "roles": running.check_roles,
    "units": units.check_units,
    "ports": ports.check_ports,
    "permissions": kept.check_permissions,
    "disk": kept.check_disk,
    "memory": machine.check_memory,
    "clock": machine.check_clock,
    "gpu": gpu.check,
    "upgrade": upgrade.check,
}
CHECKS: dict[str, Callable[[Home], Check]] = {
    "certificate": running.check_certificate,
    "deployed": running.check_deployed,
    "models": versions.check_models,
    "queue": running.check_queue,
    "egress": egress.check,
    "keys": kept.check_keys,
    "recovery": recovery.examine,
    "registry": lambda home: kept.check_database(home, "registry"),
    "audit": kept.check_audit,
    "telemetry": lambda home: kept.check_database(home, "telemetry"),
    "blobs": kept.check_blobs,
}
LONG = ("telemetry", "blobs")  # they read all there is, which may be much
OUTSIDE = ("units", "ports", "clock")  # a role that is shut in sees less of these than `falaj doctor` does


def examine(home: Home, quick: bool = False) -> list[Check]:
    """Every check; one that fails with an error is told by that error. `quick` leaves the LONG ones out."""
    inside = {name: check for name, check in CHECKS.items() if not (quick and name in LONG)}
    return [*_each(SURROUNDINGS, home.config), *_each(inside, home)]


def examine_closed(path: Path, error: FalajError) -> list[Check]:
    """What can be looked at where the home, or its settings, can't be opened for this error."""
    try:
        settings = config.load(path)
    except FalajError:
        found = [Check("settings", False, error.message, error.hint)]
        rest = {name: check for name, check in SURROUNDINGS.items() if name != "settings"}
        return [*found, *_each(rest, Config(path))]
    return [*_each(SURROUNDINGS, settings), Check("keys", False, error.message, error.hint)]


def examine_outside(settings: Config) -> list[Check]:
    """What is better looked at from a process that is not shut in."""
    return _each({name: SURROUNDINGS[name] for name in OUTSIDE}, settings)


def _each(checks: Mapping[str, Callable[[_T], Check]], subject: _T) -> list[Check]:
    found = []
    for name, check in checks.items():
        try:
            found.append(check(subject))
        except FalajError as error:
            found.append(Check(name, False, error.message, error.hint))
        except OSError as error:
            told = f"{error.filename or name} can't be looked at: {error.strerror}"
            found.append(Check(name, False, told, "Act as root: sudo falaj doctor"))
    return found


def doctor(app: App, call: Call) -> list[Row]:
    """All checks, or with `quick` all but those that read every stored byte."""
    return [vars(check) for check in examine(app.home, call.flag("quick"))]
