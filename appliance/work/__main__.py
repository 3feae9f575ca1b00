"""`python -m appliance.work HOME JOB ATTEMPT`: the child process of one job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.errors import FalajError
from appliance.home import Home, open_home
from appliance.jobs import ledger
from appliance.jobs.child import Attempt, run_body
from appliance.jobs.progress import Progress
from appliance.process import die_with_parent

Body = Callable[[Home, Attempt], None]


def _ingest(home: Home, attempt: Attempt) -> None:
    from appliance.work.ingest import ingest

    ingest(home, attempt)


def _train(home: Home, attempt: Attempt) -> None:
    from appliance.work.train import train

    train(home, attempt)


BODIES: dict[str, Body] = {"ingest": _ingest, "train": _train}


def main() -> int:
    """Run one job; exit status 0 when its row tells how it ended."""
    die_with_parent()
    os.umask(0o077)
    home = open_home(Path(sys.argv[1]))
    job = ledger.find(home.registry, sys.argv[2])
    if job.attempts != int(sys.argv[3]) or job.ended:
        return 0  # it was taken back before we began
    body = BODIES[job.kind]
    return run_body(home.registry, job, Progress(home.run_dir, job.id), lambda attempt: body(home, attempt))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FalajError as error:
        print(error.message, error.hint, file=sys.stderr)
        sys.exit(1)
