"""The rounds of the worker role: threads that put things right and watch, for as long as it lives."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from appliance import clock
from appliance.blobs import Unowned, told_when_full
from appliance.db import audit
from appliance.errors import FalajError
from appliance.home import Home
from appliance.jobs import ledger, queue
from appliance.jobs.ledger import JobState
from appliance.monitoring.outgoing import Outgoing
from appliance.security import certificates
from appliance.verbs import clock_jump

log = logging.getLogger(__name__)

_LATE = 120.0  # seconds that one round may take
_RECONCILE = 2.0
_SWEEP = 600.0
_HOUSEKEEPING = 60.0
_CERTIFICATE = 10.0  # an address that the network has just given out is covered this soon


class Rounds:
    """A thread that goes its rounds for as long as the process lives."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._came = 0.0

    def start(self, go: Callable[[], None]) -> None:
        threading.Thread(target=go, name=self._name, daemon=True).start()

    def came(self) -> None:
        """It has come round."""
        self._came = time.monotonic()

    def trouble(self) -> str:
        """Why it is not alive; "" when it is. Time in which the machine slept does not count."""
        if not self._came:
            return f"{self._name} has not come round yet"
        late = time.monotonic() - self._came > _LATE
        return f"{self._name} has not come round for {_LATE:g} seconds" if late else ""


def put_right(home: Home, jobs: queue.Queue, rounds: Rounds) -> None:
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
        rounds.came()
        time.sleep(_RECONCILE)


def watch_models(home: Home, rounds: Rounds) -> None:
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
        rounds.came()
        time.sleep(_RECONCILE)


def look_outside(home: Home, rounds: Rounds) -> None:
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
        rounds.came()
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
