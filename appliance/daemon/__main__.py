"""`python -m appliance.daemon ROLE --home DIR [--fd N]...`: how units and the supervisor start a role.

The egress role imports none of what the others need: it could not even open the home.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from appliance.daemon import sockets
from appliance.errors import FalajError
from appliance.process import start_as_child


def main() -> int:
    """Run one role; an error is told in two lines on stderr."""
    parser = argparse.ArgumentParser(prog="falaj-role")
    parser.add_argument("role", choices=["run", "inference", "inference-worker", "admin", "worker", "egress"])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fd", type=int, action="append", default=[])
    told = parser.parse_args()
    start_as_child()
    listening = [sockets.adopt(fd) for fd in told.fd] or sockets.from_systemd().get(told.role, [])
    try:
        if told.role == "egress":
            from appliance.daemon.egress import egress

            egress(told.home, listening)
            return 0
        from appliance.daemon import roles, supervisor

        match told.role:
            case "run":
                supervisor.run(told.home)
            case "inference":
                roles.inference(told.home, listening)
            case "inference-worker" if listening:
                roles.inference_worker(told.home, listening)
            case "admin":
                roles.admin(told.home, listening)
            case "worker":
                roles.worker(told.home)
            case _:
                parser.error("an inference worker needs --fd")
    except FalajError as error:
        print(f"falaj: {error.message}\n       {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it still starts
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
