"""Graphics cards: which there are, and whether the appliance may use them."""

from __future__ import annotations

from pathlib import Path

from appliance.app import App
from appliance.config import Config
from appliance.db import Row
from appliance.runtimes import accelerators
from appliance.verbs.call import Call
from appliance.verbs.check import Check

PACKAGE = Path("/usr/lib/falaj-gpu/site-packages")
DROP_INS = tuple(
    Path(f"/etc/systemd/system/falaj-{role}.service.d/gpu.conf") for role in ("inference", "worker")
)


def show(app: App, call: Call) -> Row:
    """Every device with what keeps it from being used, and whether `falaj gpu enable` was done."""
    devices = [
        {
            "name": one.name,
            "kind": one.kind,
            "address": one.address,
            "driver": one.driver or None,
            "usable": not one.fix,
            "fix": one.fix,
        }
        for one in accelerators.found()
    ]
    return {"devices": devices, "package": PACKAGE.is_dir(), "enabled": enabled()}


def enabled() -> bool:
    """Whether the units were given the devices."""
    return all(path.exists() for path in DROP_INS)


def check(settings: Config) -> Check:
    """For the doctor: no card is no trouble; a card that was switched on and has gone is."""
    devices = accelerators.found()
    usable = [one.name for one in devices if not one.fix]
    if enabled() and not usable:
        return Check(
            "gpu", False, "it was enabled, and none can be used any more", "Run: sudo falaj gpu disable"
        )
    if not devices:
        return Check("gpu", True, "none in this machine; none is needed")
    if not usable:
        return Check("gpu", True, "; ".join(f"{one.name}: {one.fix}" for one in devices))
    named = ", ".join(usable)
    if enabled():
        return Check("gpu", True, f"{named}: enabled")
    return Check(
        "gpu",
        True,
        f"{named}: not enabled; everything runs on the processor",
        "To use it: sudo falaj gpu enable",
    )
