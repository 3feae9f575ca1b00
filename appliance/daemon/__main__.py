"""`python -m appliance.daemon ROLE --home DIR [--fd N]...`: how units and the supervisor start a role."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from appliance.daemon import prepare, roles, sockets, supervisor
from appliance.errors import BadInput, FalajError
from appliance.home import open_home

ROLES = ("inference", "inference-worker", "admin", "worker")


def main() -> int:
    """Run one role; an error is told in two lines on stderr."""
    parser = argparse.ArgumentParser(prog="falaj-role")
    parser.add_argument("role", choices=["run", "prepare", "welcome", *ROLES])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fd", type=int, action="append", default=[])
    told = parser.parse_args()
    roles.start_as_child()
    listening = [sockets.adopt(fd) for fd in told.fd] or sockets.from_systemd().get(told.role, [])
    try:
        with _kept(told.home, told.role):
            _run(told.role, told.home, listening)
    except FalajError as error:
        print(f"falaj: {error.message}\n       {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it still starts
        return 130
    return 0


def _run(role: str, home: Path, listening: list[socket.socket]) -> None:
    match role:
        case "run":
            supervisor.run(home)
        case "prepare":
            prepare.once(home)
        case "welcome":
            prepare.welcome(open_home(home))
        case "inference":
            roles.inference(home, listening)
        case "inference-worker" if listening:
            roles.inference_worker(home, listening)
        case "admin":
            roles.admin(home, listening)
        case "worker":
            roles.worker(home)
        case _:
            raise BadInput("An inference worker needs --fd.", "It is started by the inference role.")


def _kept(home: Path, role: str) -> AbstractContextManager[None]:
    """The part of the home's lock that a role of its own holds; of a child's its parent holds enough."""
    if role in ROLES and "FALAJ_PARENT" not in os.environ:
        return prepare.among_others(home)
    return nullcontext()


if __name__ == "__main__":
    sys.exit(main())
