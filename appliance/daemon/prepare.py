"""What is done once before any role starts: the home is made and brought up to date, keys to it are at hand.

`falaj run` does it in its own process, under systemd a unit of its own does. Nothing of the appliance may be
running: a lock on the home, which every role shares while it runs, sees to that.
"""

from __future__ import annotations

import logging
from pathlib import Path

from appliance import addresses, config, presence
from appliance import home as homes
from appliance.errors import FalajError
from appliance.home import Home
from appliance.monitoring import outgoing
from appliance.registry import users
from appliance.security import certificates, setup_code
from appliance.security.local_token import make_local_token
from appliance.upgrade import held
from appliance.verbs.certificates import page_address

log = logging.getLogger(__name__)


def once(path: Path) -> None:
    """Make everything ready and end: the roles are started by somebody else."""
    settings = config.load(path)
    listening = [*addresses.hosts(settings.inference.host), *addresses.hosts(settings.admin.host)]
    with homes.alone(path):
        allow(make_ready(path, tls_needed=not all(map(addresses.is_loopback, listening))))


def make_ready(path: Path, tls_needed: bool) -> Home:
    """Make or migrate the home, and clear away what the run before left, if it was killed.

    Raises FalajError when the appliance can't start.
    """
    homes.tidy(path)
    if (found := held.read(path)) is not None:  # an upgrade, or a way back, that was cut short
        from appliance.upgrade import takeover  # it carries what loads models

        takeover.finish_back(path, found)
    opened = homes.create(path)
    presence.clear(opened.run_dir)
    homes.prepare_run_dir(opened.run_dir)
    make_local_token(opened.run_dir)
    try:
        certificates.tend(opened)
    except FalajError as error:  # without a port that speaks TLS it must not stop the start
        if tls_needed:
            raise
        log.warning("there is no certificate for TLS: %s", error.message)
    return opened


def allow(home: Home) -> None:
    """Let out what is allowed from the first moment on; trouble with it must not stop the start."""
    try:
        outgoing.put_in_force(home)
    except FalajError as error:
        log.warning("nothing may leave this machine yet: %s", error.message)


def say_welcome(path: Path) -> None:
    """`welcome` as a step of its own."""
    welcome(homes.open_home(path))


def welcome(home: Home) -> None:
    """Tell whoever starts the appliance where its page is, and how to set it up as long as nobody has."""
    if users.there_are_any(home.registry):
        print(f"The admin page: {page_address(home)}", flush=True)
        return
    with home.registry.write() as tx:
        code = setup_code.make(tx, "system")
    told = f"To set up the admin page, open {page_address(home)}/setup and type"
    ends = f"within {setup_code.MINUTES} minutes. A new code: falaj setup-code"
    print(f"\n  {told}\n\n      {code}\n\n  {ends}\n", flush=True)
