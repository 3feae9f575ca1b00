"""`falaj run`: the whole appliance as one foreground process, for machines without systemd.

One appliance a home (a lock), all ports taken before anything starts, every role a child that dies with
this process. SIGTERM or Ctrl-C stops all of them in good order.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import IO

from appliance import config, presence
from appliance import home as homes
from appliance.daemon import sockets
from appliance.daemon.family import Child, Family
from appliance.egress import folder
from appliance.errors import Conflict, FalajError
from appliance.home import Home
from appliance.monitoring import outgoing
from appliance.registry import users
from appliance.security import certificates, setup_code
from appliance.security.local_token import make_local_token
from appliance.verbs.certificates import page_address

log = logging.getLogger(__name__)


def run(path: Path) -> None:
    """Start the appliance and keep it running. Raises FalajError when it can't start."""
    config.load(path)  # a wrong setting is told before anything is made
    lock = _lock(path)
    homes.tidy(path)
    opened = homes.create(path)
    settings = opened.config
    presence.clear(opened.run_dir)  # what the run before left, if it was killed
    folder.clear(settings.egress_dir)  # without it this process looks at the machine's addresses itself
    homes.prepare_run_dir(opened.run_dir)
    endpoint = sockets.listen_all(settings.inference.host, settings.inference.port, "inference.port")
    page = sockets.listen_all(settings.admin.host, settings.admin.port, "admin.port")
    make_local_token(opened.run_dir)
    _make_certificate(opened, needed=any(map(sockets.needs_tls, [*endpoint, *page])))
    _print_setup_code(opened)
    folder.prepare(settings.egress_dir)
    _allow(opened)
    opened.registry.close()
    family = Family(path)
    family.children += [
        Child("egress", ["egress"]),
        Child("worker", ["worker"]),
        Child.on_sockets("admin", "admin", page),
        Child.on_sockets("inference", "inference", endpoint),
    ]
    log.info("Falaj runs from %s; stop it with Ctrl-C", path)
    family.run(stop_after=settings.inference.drain_seconds + 10.0)
    presence.clear(opened.run_dir)
    folder.clear(settings.egress_dir)
    lock.close()


def _print_setup_code(home: Home) -> None:
    """Tell whoever starts the appliance where its page is, and how to set it up as long as nobody has."""
    if users.there_are_any(home.registry):
        print(f"The admin page: {page_address(home)}", flush=True)
        return
    with home.registry.write() as tx:
        code = setup_code.make(tx, "system")
    told = f"To set up the admin page, open {page_address(home)}/setup and type"
    ends = f"within {setup_code.MINUTES} minutes. A new code: falaj setup-code"
    print(f"\n  {told}\n\n      {code}\n\n  {ends}\n", flush=True)


def _make_certificate(opened: Home, needed: bool) -> None:
    """Have a certificate ready; without a port that speaks TLS, trouble with it must not stop the start."""
    try:
        certificates.tend(opened)
    except FalajError as error:
        if needed:
            raise
        log.warning("there is no certificate for TLS: %s", error.message)


def _allow(opened: Home) -> None:
    """Let out what is allowed from the first moment on; trouble with it must not stop the start."""
    try:
        outgoing.put_in_force(opened)
    except FalajError as error:
        log.warning("nothing may leave this machine yet: %s", error.message)


def _lock(path: Path) -> IO[str]:
    """Hold the home for this process; the kernel lets go when it ends, however it ends."""
    homes.make_folder(path)
    lock = open(path / "lock", "a+", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Conflict(
            f"An appliance already runs from {path}.", "Use it, or stop it first; see: falaj status"
        ) from error
    return lock
