"""The units of the installed appliance, as systemd sees them."""

from __future__ import annotations

import subprocess

from appliance.config import SYSTEM_HOME, SYSTEMD, Config
from appliance.verbs.check import Check

_ASKED = ("Id", "LoadState", "ActiveState", "Result", "UnitFileState", "ConditionResult", "NeedDaemonReload")
_TARGET = "falaj.target"
_SECONDS = 10.0


def check_units(settings: Config) -> Check:
    if settings.home != SYSTEM_HOME:
        return Check("units", True, "not under systemd: started with falaj run")
    if not SYSTEMD.is_dir():
        return Check("units", True, "there is no systemd here: started with falaj run")
    command = ["systemctl", "show", "--all", f"--property={','.join(_ASKED)}", _TARGET, "falaj-*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Check("units", True, "systemd does not answer from here; sudo falaj doctor asks it")
    if done.returncode:
        return Check("units", True, "systemd does not answer from here; sudo falaj doctor asks it")
    return judge(done.stdout)


def judge(shown: str) -> Check:
    """What `systemctl show` says of our units: blocks of NAME=VALUE. Pure."""
    units = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    by_name = {unit["Id"]: unit for unit in units if "Id" in unit}
    target = by_name.get(_TARGET, {})
    if target.get("LoadState") != "loaded":
        return _bad(f"{_TARGET} is not there", "Install the package again: apt-get install --reinstall falaj")
    failed = {name: unit for name, unit in by_name.items() if unit["ActiveState"] == "failed"}
    if failed:
        named = ", ".join(f"{name} ({unit['Result']})" for name, unit in sorted(failed.items()))
        first = min(failed)
        return _bad(
            f"failed: {named}", f"See why: journalctl -u {first} -n 50; then: systemctl restart {_TARGET}"
        )
    if target["ActiveState"] != "active":
        return _bad(f"{_TARGET} is {target['ActiveState']}", f"Run: systemctl start {_TARGET}")
    if target["UnitFileState"] != "enabled":
        told = f"{_TARGET} is {target['UnitFileState']}: the machine's next start will not start it"
        return _bad(told, f"Run: systemctl enable {_TARGET}")
    if any(unit.get("NeedDaemonReload") == "yes" for unit in by_name.values()):
        told = "the units were changed since systemd read them"
        return _bad(told, f"Run: systemctl daemon-reload && systemctl restart {_TARGET}")
    unmet = sorted(name for name, unit in by_name.items() if _is_unmet(unit))
    told = f"; not needed here: {', '.join(unmet)}" if unmet else ""
    return Check("units", True, f"{_TARGET} and its {len(by_name) - 1} units are well{told}")


def _is_unmet(unit: dict[str, str]) -> bool:
    return (
        unit["ActiveState"] == "inactive" and unit.get("ConditionResult") == "no" and unit.get("Result") != ""
    )


def _bad(detail: str, fix: str) -> Check:
    return Check("units", False, detail, fix)
