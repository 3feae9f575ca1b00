"""The child's side of a job: run the body, commit once, record the end.

A child is bound (`bounds.py`), so that answering predictions always comes first, and records its own
end: success in the transaction that writes what it made, failure with a message for the user. A
traceback goes to its log and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from appliance.db import Row, Store, Transaction
from appliance.errors import Cancelled, FalajError, Overloaded
from appliance.jobs import ledger
from appliance.jobs.ledger import Job
from appliance.jobs.progress import Progress

INTERRUPTED = os.EX_TEMPFAIL
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """What a body is given: its job, a way to say how far it is, and one commit."""

    job: Job
    store: Store
    progress: Progress

    @contextlib.contextmanager
    def commit(self, result: Row) -> Iterator[Transaction]:
        """One transaction for what the job made and for its success.

        From here on the job can't be stopped gently: a Cancelled raised just behind the commit would make
        the body clean up what is registered by now. Raises Conflict, leaving nothing, when the job was
        taken back meanwhile.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with self.store.write() as tx:
            yield tx
            ledger.succeed(tx, self.job, result)


def run_body(store: Store, job: Job, progress: Progress, body: Callable[[Attempt], None]) -> int:
    """Run a job's body; the exit status of the child: 0 when the row tells how it ended."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, _raise_cancelled)
    log.info("%s %s, attempt %d", job.kind, job.subject, job.attempts)
    try:
        body(Attempt(job, store, progress))
    except (Cancelled, Overloaded) as error:  # told to stop, or the registry was busy at the commit: again
        log.info("stopped: %s", error.message)
        return INTERRUPTED
    except FalajError as error:
        log.info("failed: %s %s", error.message, error.hint)
        return _record(store, job, error)
    except Exception:
        log.exception("failed unexpectedly")
        return 1
    log.info("done")
    return 0


def _record(store: Store, job: Job, error: FalajError) -> int:
    try:
        ledger.fail(store, job, error)
    except FalajError:
        return 1
    return 0


def _raise_cancelled(signum: int, frame: object) -> None:
    raise Cancelled("The job was asked to stop.")
