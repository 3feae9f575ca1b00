"""What commands share that change the services of the installed appliance: where they may, and how."""

from __future__ import annotations

import os
import subprocess

from appliance import config
from appliance.cli.edge import Edge
from appliance.errors import Conflict, FalajError, Forbidden


def check_place(edge: Edge, command: str) -> None:
    """Raises Conflict where the appliance is not an installed one, Forbidden for anybody but root."""
    if not config.under_systemd(edge.home):
        raise Conflict("Only the installed appliance can do this.", "Install the package first.")
    if os.geteuid() != 0:
        raise Forbidden("This changes the system's services.", f"Run: sudo falaj {command}")


def failed() -> list[str]:
    """The appliance's units that could not be started."""
    asked = ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "falaj-*"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def systemctl(*command: str) -> None:
    """Have systemd do something. Raises FalajError with its reason."""
    done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FalajError(
            f"The services did not {command[0]}: {done.stderr.strip() or done.returncode}.",
            "See: systemctl status 'falaj*'",
        )
