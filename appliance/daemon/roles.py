"""The main function of each role: open the home, say that it is there, serve until told to stop.

What a role needs is imported when it starts, so that none carries the libraries of another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from appliance import clock, config, presence
from appliance.app import open_app
from appliance.blobs import Unowned, told_when_full
from appliance.daemon import sockets
from appliance.daemon.crew import Crew
from appliance.daemon.family import Family
from appliance.daemon.governor import Governor
from appliance.daemon.local_socket import LocalServer
from appliance.db import audit
from appliance.errors import FalajError
from appliance.home import Home, open_home
from appliance.jobs import ledger, queue
from appliance.jobs.groups import open_groups
from appliance.jobs.ledger import JobState
from appliance.jobs.runner import Runner
from appliance.monitoring.outgoing import Outgoing
from appliance.rollout import controller
from appliance.security import certificates
from appliance.security.refusals import Refusals
from appliance.security.token_use import TokenUse
from appliance.verbs import clock_jump

log = logging.getLogger(__name__)

_RECONCILE = 2.0
_SWEEP = 600.0
_HOUSEKEEPING = 60.0
_CERTIFICATE = 10.0  # an address that the network has just given out is covered this soon
_PAGE_DRAIN = 10.0
_WORK_MODULE = "appliance.work"


def inference(home: Path, listening: list[socket.socket]) -> None:
    """The endpoint: makes or adopts its sockets and keeps the worker processes running. Stays small."""
    settings = config.load(home)
    made = listening or sockets.listen_all(settings.inference.host, settings.inference.port, "inference.port")
    family, drain = Family(home), settings.inference.drain_seconds
    governor = Governor(
        settings.inference_workers, settings.inference_workers_max, settings.inference.calm_seconds
    )
    crew = Crew(family, governor, made, settings.run_dir, leave_seconds=2 * drain + 15.0)
    try:
        family.run(stop_after=drain + 5.0, look=crew.look)
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
    from appliance.inference.replica import Replica
    from appliance.monitoring.recorder import Recorder

    opened = open_home(home)
    recorder = Recorder(opened.telemetry, log_predictions=opened.config.telemetry.log_days > 0)
    plane = Plane()
    doorkeeper = Doorkeeper(opened)
    replica = Replica(opened, plane, lambda: endpoint.failed)
    endpoint = Endpoint(
        plane,
        doorkeeper.authorise,
        opened.config.inference,
        lambda: replica.ready,
        on_refused=doorkeeper.refused,
        recorder=recorder,
    )

    def stop_taking() -> None:
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
        replica.stop()
        doorkeeper.stop()
        recorder.stop()


def admin(home: Path, listening: list[socket.socket]) -> None:
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
            serve_rsgi(front, listeners(app.home, made), sockets.BACKLOG, drain_seconds=_PAGE_DRAIN)
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
        time.sleep(_RECONCILE)
        for one in counts:
            try:
                one.flush()
            except FalajError as error:
                if error.message != said:
                    log.warning("counts wait: %s", error.message)
                said = error.message


def worker(home: Path) -> None:
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
    threading.Thread(target=_rounds, args=(opened, jobs), name="falaj-rounds", daemon=True).start()
    threading.Thread(target=_watch, args=(opened,), name="falaj-watch", daemon=True).start()
    threading.Thread(target=_outgoing, args=(opened,), name="falaj-outgoing", daemon=True).start()
    with _present(opened, "worker", bounds="groups" if runner.groups else "limits"):
        jobs.serve(settings.worker.jobs)


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


def _rounds(home: Home, jobs: queue.Queue) -> None:
    """Wake what waits (messages get lost), take back what was abandoned, sweep what nobody owns."""
    swept = tended = float("-inf")
    unowned: Unowned = {}
    said = ""
    while True:
        if time.monotonic() - tended > _CERTIFICATE:
            _tend_certificate(home)
            tended = time.monotonic()
        try:
            ledger.reconcile(home.registry)
            if jobs.is_empty():
                for id in ledger.queued(home.registry):
                    jobs.wake(id)
            if time.monotonic() - swept > _SWEEP:
                sweep(home, unowned, clock.uptime())
                swept = time.monotonic()
        except queue.Broken as error:
            log.warning("%s; this role starts again with a new one", error)
            os.kill(os.getpid(), signal.SIGTERM)
        except FalajError as error:
            if error.message != said:
                log.warning("putting things right failed, and is tried again: %s", error.message)
            said = error.message
        except Exception:
            log.exception("putting things right failed; it is tried again")
        else:
            said = ""
        time.sleep(_RECONCILE)


def _watch(home: Home) -> None:
    """Look at what models in use are asked, and keep telemetry within its bounds."""
    from appliance.monitoring.watch import Watch, housekeeping

    watch, kept = Watch(home), float("-inf")
    while True:
        try:
            watch.look()
            if time.monotonic() - kept > _HOUSEKEEPING:
                kept = time.monotonic()
                housekeeping(home, clock_moved=bool(clock_jump.look(home.run_dir).by))
        except FalajError as error:
            log.warning("models in use could not be watched: %s", error.message)
        except Exception:
            log.exception("models in use could not be watched; it is tried again")
        time.sleep(_RECONCILE)


def _outgoing(home: Home) -> None:
    """Put the rules for calls out in force, and write down what was called."""
    outgoing, said = Outgoing(home), ""
    while True:
        try:
            outgoing.look()
            said = ""
        except FalajError as error:
            if error.message != said:
                log.warning("calls out could not be looked after: %s", error.message)
            said = error.message
        except Exception:
            log.exception("calls out could not be looked after; it is tried again")
        time.sleep(_RECONCILE)


def _tend_certificate(home: Home) -> None:
    """Keep the certificate good: its time runs out, addresses change. The servers follow it by themselves."""
    try:
        certificates.tend(home)
    except FalajError as error:
        log.warning("the certificate could not be looked after: %s", error.message)
    except Exception:
        log.exception("the certificate could not be looked after; it is tried again")


def sweep(home: Home, unowned: Unowned, now: float) -> int:
    """Delete stored files that no row and no waiting job has owned for an hour; how many there were.

    `unowned` remembers from one sweep to the next since when; `now` is the uptime.

    Under the write lock, so that nothing begins to refer to a file meanwhile; not while a job runs, whose
    files no row owns yet; and not when the registry is behind its own audit head, as after a bad restore.
    """
    head = audit.read_head(home.path)
    with home.registry.write() as tx, told_when_full():
        jobs = ledger.unfinished(tx)
        last = tx.one(audit.LAST)
        if any(job.state is JobState.RUNNING for job in jobs) or (
            head and head[0] > (last or {"seq": 0})["seq"]
        ):
            return 0
        owned = {str(row["digest"]) for row in tx.all("SELECT digest FROM blobs")}
        owned |= {str(job.payload.get("source", "")) for job in jobs}
        return home.blobs.sweep(owned, unowned, now)


@contextlib.contextmanager
def _present(home: Home, role: str, **more: str) -> Iterator[None]:
    """Say that this role is there for as long as the block runs."""
    presence.announce(home.run_dir, role, {"ready": True, **more})
    try:
        yield
    finally:
        presence.leave(home.run_dir, role)
