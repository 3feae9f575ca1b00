"""`python -m appliance.daemon ROLE --home DIR [--fd N]...`: how units and the supervisor start a role."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from appliance.daemon import roles, sockets, supervisor
from appliance.daemon.notify import Manager
from appliance.errors import FalajError


def main() -> int:
    """Run one role; an error is told in two lines on stderr."""
    parser = argparse.ArgumentParser(prog="falaj-role")
    parser.add_argument("role", choices=["run", "inference", "inference-worker", "admin", "worker"])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fd", type=int, action="append", default=[])
    told = parser.parse_args()
    roles.start_as_child()
    manager = Manager.from_environment()
    try:
        listening = _handed_over(told.role, told.fd)
        match told.role:
            case "run":
                supervisor.run(told.home)
            case "inference":
                roles.inference(told.home, listening, manager)
            case "inference-worker":
                roles.inference_worker(told.home, listening)
            case "admin":
                roles.admin(told.home, listening, manager)
            case "worker":
                roles.worker(told.home, manager)
    except FalajError as error:
        print(f"falaj: {error.message}\n       {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it still starts
        return 130
    finally:
        manager.close()
    return 0


def _handed_over(role: str, fds: list[int]) -> list[socket.socket]:
    """The sockets that the parent or systemd has made for a role. Raises FalajError for what does not fit."""
    named = sockets.from_systemd()
    listening = [sockets.adopt(fd) for fd in fds] or named.pop(role, [])
    if named:
        raise FalajError(
            f"The role {role} was handed a socket named '{min(named)}', which is not for it.",
            "Set FileDescriptorName= in the socket's unit to the role that it is for: inference or admin.",
        )
    if listening and role in ("run", "worker"):
        raise FalajError(f"The role {role} listens on no socket.", "Start it without one.")
    if role == "inference-worker" and not listening:
        raise FalajError(
            "An inference worker needs the sockets of its parent (--fd).", "Start the role inference instead."
        )
    return listening


if __name__ == "__main__":
    sys.exit(main())
