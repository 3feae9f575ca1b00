"""The main function of each role: open the home, say that it is there, serve until told to stop.

What a role needs is imported when it starts, so that none carries the libraries of another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from appliance import presence
from appliance.app import open_app
from appliance.daemon import proofs, sockets
from appliance.daemon.crew import Crew
from appliance.daemon.family import Family
from appliance.daemon.governor import Governor
from appliance.daemon.local_socket import LocalServer
from appliance.daemon.notify import Manager
from appliance.daemon.rounds import Rounds, look_outside, put_right, watch_models
from appliance.errors import FalajError
from appliance.framing import endpoint_path
from appliance.home import Home, open_home
from appliance.jobs import ledger, queue
from appliance.jobs.groups import open_groups
from appliance.jobs.runner import Runner
from appliance.rollout import controller
from appliance.security.refusals import Refusals
from appliance.security.token_use import TokenUse
from appliance.verbs import clock_jump

log = logging.getLogger(__name__)

_LOOK = 2.0
_PAGE_DRAIN = 10.0
_LET_IN = 0.5  # seconds that a connection made before a stop has to send its request
_WORK_MODULE = "appliance.work"


def inference(home: Path, listening: list[socket.socket], manager: Manager) -> None:
    """The endpoint: makes or adopts its sockets and keeps the worker processes running. Stays small."""
    opened = open_home(home)
    settings = opened.config
    made = listening or sockets.listen_all(settings.inference.host, settings.inference.port, "inference.port")
    family, drain = Family(home), settings.inference.drain_seconds
    governor = Governor(
        settings.inference_workers, settings.inference_workers_max, settings.inference.calm_seconds
    )
    crew = Crew(
        family,
        governor,
        [*made, sockets.listen_at(endpoint_path(settings.run_dir))],
        settings.run_dir,
        leave_seconds=2 * drain + 15.0,
        stuck_seconds=settings.inference.stuck_seconds,
    )
    manager.watch(proofs.of(proofs.registry(opened), crew.trouble), "answers predictions")
    try:
        family.run(stop_after=drain + 5.0, look=crew.look, on_stop=manager.stopping)
    finally:
        crew.close()


def inference_worker(home: Path, listening: list[socket.socket]) -> None:
    """One process that answers predictions."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until there are connections to share
    from appliance.daemon.listener import listeners
    from appliance.daemon.rsgi import serve_rsgi
    from appliance.inference.doorkeeper import Doorkeeper
    from appliance.inference.endpoint import Endpoint
    from appliance.inference.plane import Plane
    from appliance.inference.pulse import Pulse
    from appliance.inference.replica import Replica
    from appliance.monitoring.recorder import Recorder

    opened = open_home(home)
    recorder = Recorder(opened.telemetry, log_predictions=opened.config.telemetry.log_days > 0)
    plane = Plane()
    doorkeeper = Doorkeeper(opened)
    replica = Replica(opened, plane, lambda: endpoint.failed)
    pulse = Pulse(opened.run_dir, plane)
    endpoint = Endpoint(
        plane,
        doorkeeper.authorise,
        opened.config.inference,
        lambda: replica.ready,
        on_start=pulse.start,
        on_refused=doorkeeper.refused,
        recorder=recorder,
    )

    def stop_taking() -> None:
        """Not at once: who was let in before is answered, so that after a restart nobody was refused."""
        asyncio.get_running_loop().call_later(_LET_IN, refuse)

    def refuse() -> None:
        endpoint.draining = True

    recorder.start()
    doorkeeper.start()
    replica.start()
    replica.wait_until_ready()  # before the first accept: a new worker never answers 404 for a live model
    try:
        serve_rsgi(
            endpoint,
            listeners(opened, listening),
            sockets.BACKLOG,
            drain_seconds=opened.config.inference.drain_seconds,
            on_stop=stop_taking,
            settled=endpoint.settled,
        )
    finally:
        pulse.stop()
        replica.stop()
        doorkeeper.stop()
        recorder.stop()


def admin(home: Path, listening: list[socket.socket], manager: Manager) -> None:
    """The management side: the CLI's local socket and the HTTP port of the admin page."""
    from appliance.daemon.front import Front
    from appliance.daemon.listener import listeners
    from appliance.daemon.management import management
    from appliance.daemon.rsgi import serve_rsgi

    app = open_app(home)
    site = management(app)
    settings = app.home.config.admin
    made = listening or sockets.listen_all(settings.host, settings.port, "admin.port")
    controller.reconcile(app.home)
    local = LocalServer(app)
    threading.Thread(target=local.serve_forever, name="falaj-local", daemon=True).start()
    threading.Thread(
        target=_look_after,
        args=(app.home.run_dir, [site.refusals, local.refusals, site.token_use]),
        name="falaj-looks",
        daemon=True,
    ).start()
    try:
        with _present(app.home, "admin"):
            front = Front(site.wsgi_app, site.largest)
            proof = proofs.of(proofs.registry(app.home), proofs.local_door(app.home), front.trouble)
            manager.watch(proof, "serves the admin page and the falaj command")
            serve_rsgi(
                front,
                listeners(app.home, made),
                sockets.BACKLOG,
                drain_seconds=_PAGE_DRAIN,
                on_stop=manager.stopping,
            )
    finally:
        local.shutdown()
        for one in (site.refusals, local.refusals):
            one.flush(everything=True)
        site.token_use.flush()


def _look_after(run_dir: Path, counts: Sequence[Refusals | TokenUse]) -> None:
    """Write down what was counted: refusals when their minute is over, the use of tokens; watch the clock."""
    said = ""
    while True:
        clock_jump.look(run_dir)
        time.sleep(_LOOK)
        for one in counts:
            try:
                one.flush()
            except FalajError as error:
                if error.message != said:
                    log.warning("counts wait: %s", error.message)
                said = error.message


def worker(home: Path, manager: Manager) -> None:
    """The jobs: Huey's threads, each watching one child process, and the rounds that put things right."""
    opened = open_home(home)
    queue.empty(home / "queue.db")
    settings = opened.config
    jobs = queue.Queue(home / "queue.db", lambda id: _run_job(opened, runner, id))
    runner = Runner(
        store=opened.registry,
        home=home,
        run_dir=opened.run_dir,
        module=_WORK_MODULE,
        lease=settings.jobs.lease,
        heartbeat=settings.jobs.heartbeat,
        memory_bytes=(settings.jobs.memory_mb << 20) or _share_of_memory(settings.worker.jobs),
        stopping=jobs.is_stopping,
        groups=open_groups(),
    )
    rounds, watch, outgoing = Rounds("falaj-rounds"), Rounds("falaj-watch"), Rounds("falaj-outgoing")
    rounds.start(lambda: put_right(opened, jobs, rounds))
    watch.start(lambda: watch_models(opened, watch))
    outgoing.start(lambda: look_outside(opened, outgoing))
    proof = proofs.of(proofs.registry(opened), jobs.trouble, rounds.trouble, watch.trouble, outgoing.trouble)
    manager.watch(proof, "runs jobs")
    with _present(opened, "worker", bounds="groups" if runner.groups else "limits"):
        jobs.serve(settings.worker.jobs)
        manager.stopping()


def _run_job(home: Home, runner: Runner, id: str) -> None:
    """Run a job; the file it was given is not kept once it has ended, however it ended."""
    runner.run(id)
    try:
        job = ledger.find(home.registry, id)
        if job.ended and "source" in job.payload:
            home.blobs.remove(str(job.payload["source"]))
    except (FalajError, OSError):
        log.exception("job %s: what it was given is left to the sweep", id)


def _share_of_memory(jobs: int) -> int:
    """What one of several jobs may use: together they leave a quarter of the machine's memory alone."""
    return int(psutil.virtual_memory().total * 3 // 4 // max(1, jobs))


@contextlib.contextmanager
def _present(home: Home, role: str, **more: str) -> Iterator[None]:
    """Say that this role is there for as long as the block runs."""
    presence.announce(home.run_dir, role, {"ready": True, **more})
    try:
        yield
    finally:
        presence.leave(home.run_dir, role)
