"""The settings: would the next start accept them, and are they those that run?"""

from __future__ import annotations

from appliance.config import Config, start_command, under_systemd
from appliance.verbs.check import Check
from appliance.verbs.settings import told


def check_settings(settings: Config) -> Check:
    found = told(settings)
    if found["problem"]:
        return Check(
            "settings",
            False,
            f"the next start would be refused: {found['problem']['error']}",
            found["problem"]["hint"],
        )
    changed = [row["setting"] for row in found["settings"] if row["changed"]]
    coming = [row["setting"] for row in found["settings"] if row["next"] is not None]
    detail = f"{len(changed)} of {len(found['settings'])} differ from their defaults"
    if coming:
        again = "systemctl restart falaj.target" if under_systemd(settings.home) else None
        fix = again or f"stop the appliance, then: {start_command(settings.home)}"
        return Check(
            "settings", True, f"{detail}; changed since the start: {', '.join(coming)}", f"To use them: {fix}"
        )
    return Check("settings", True, detail)
