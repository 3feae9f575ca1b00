"""`falaj run`: the whole appliance as one foreground process, for machines without systemd.

One appliance a home (a lock), all ports taken before anything starts, every role a child that dies with
this process. SIGTERM or Ctrl-C stops all of them in good order.
"""

from __future__ import annotations

import logging
from pathlib import Path

from appliance import config, presence
from appliance.daemon import prepare, sockets
from appliance.daemon.family import Child, Family
from appliance.egress import folder

log = logging.getLogger(__name__)


def run(path: Path) -> None:
    """Start the appliance and keep it running. Raises FalajError when it can't start."""
    settings = config.load(path)  # a wrong setting is told before anything is made
    with prepare.alone(path):
        folder.clear(settings.egress_dir)  # without it this process looks at the machine's addresses itself
        endpoint = sockets.listen_all(settings.inference.host, settings.inference.port, "inference.port")
        page = sockets.listen_all(settings.admin.host, settings.admin.port, "admin.port")
        opened = prepare.make_ready(path, tls_needed=any(map(sockets.needs_tls, [*endpoint, *page])))
        prepare.welcome(opened)
        folder.prepare(settings.egress_dir)
        prepare.allow(opened)
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
        presence.clear(settings.run_dir)
        folder.clear(settings.egress_dir)
