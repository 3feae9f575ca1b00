"""`python -m appliance.daemon ROLE --home DIR [--fd N]...`: how units and the supervisor start a role.

Each is imported when it is asked for: the egress role carries nothing of what the others do.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from appliance.daemon import sockets
from appliance.daemon.notify import Manager
from appliance.errors import FalajError
from appliance.process import start_as_child

SHARING = ("inference", "admin", "worker")  # roles that work on the home
# what the package and `falaj upgrade` ask for
UPGRADING = ("upgrade", "migrate", "take-back", "migrations", "applied")
ROLES = ("run", "seal-keys", "prepare", "welcome", *SHARING, "inference-worker", "egress", *UPGRADING)


def main() -> int:
    """Run one role; an error is told in two lines on stderr."""
    parser = argparse.ArgumentParser(prog="falaj-role")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--fd", type=int, action="append", default=[])
    parser.add_argument("--from", dest="old", default="before", metavar="VERSION")
    parser.add_argument("--to", dest="new", default="now", metavar="VERSION")
    parser.add_argument("--known", default="{}", metavar="JSON", help="the migrations of the other program")
    told = parser.parse_args()
    start_as_child()
    if told.role in UPGRADING:
        from appliance.daemon import upgrading

        return upgrading.answer(told.role, told.home, told.old, told.new, told.known)
    manager = Manager.from_environment()
    try:
        listening = _handed_over(told.role, told.fd)
        with _shared(told.home, told.role):
            _run(told.role, told.home, listening, manager)
    except FalajError as error:
        print(f"falaj: {error.message}\n       {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while it still starts
        return 130
    finally:
        manager.close()
    return 0


def _run(role: str, home: Path, listening: list[socket.socket], manager: Manager) -> None:
    if role == "egress":
        from appliance.daemon.egress import egress

        return egress(home, listening, manager)
    if role == "seal-keys":
        from appliance.daemon.seal_keys import seal_keys

        return seal_keys(home)
    from appliance.daemon import prepare, roles, supervisor

    match role:
        case "run":
            supervisor.run(home)
        case "prepare":
            prepare.once(home)
        case "welcome":
            prepare.say_welcome(home)
        case "inference":
            roles.inference(home, listening, manager)
        case "inference-worker":
            roles.inference_worker(home, listening)
        case "admin":
            roles.admin(home, listening, manager)
        case "worker":
            roles.worker(home, manager)


def _handed_over(role: str, fds: list[int]) -> list[socket.socket]:
    """The sockets that the parent or systemd has made for a role. Raises FalajError for what does not fit."""
    named = sockets.from_systemd()
    listening = [sockets.adopt(fd) for fd in fds] or named.pop(role, [])
    if named:
        raise FalajError(
            f"The role {role} was handed a socket named '{min(named)}', which is not for it.",
            "Set FileDescriptorName= in the socket's unit to the role that it is for.",
        )
    if listening and role in ("run", "worker"):
        raise FalajError(f"The role {role} listens on no socket.", "Start it without one.")
    if role == "inference-worker" and not listening:
        raise FalajError(
            "An inference worker needs the sockets of its parent (--fd).", "Start the role inference instead."
        )
    return listening


def _shared(home: Path, role: str) -> AbstractContextManager[None]:
    """The part of the home's lock that a role by itself holds; of a child's its parent holds all of it."""
    if role in SHARING and "FALAJ_PARENT" not in os.environ:
        from appliance.home import among_others

        return among_others(home)
    return nullcontext()


if __name__ == "__main__":
    sys.exit(main())
