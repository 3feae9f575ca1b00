"""Job bodies for tests, started as `python -m tests.unit.jobs.bodies HOME JOB ATTEMPT` like the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from appliance.db import Store
from appliance.errors import BadInput, Overloaded
from appliance.jobs import ledger
from appliance.jobs.child import Attempt, run_body
from appliance.jobs.progress import Progress
from appliance.process import die_with_parent


def open_store(home: Path) -> Store:
    return Store(home / "registry.db", b"k" * 32, b"a" * 32, create=True)


def body(attempt: Attempt) -> None:
    """Do what the job's kind says."""
    payload = attempt.job.payload
    match attempt.job.kind:
        case "succeed":
            with attempt.commit({"answer": payload["x"]}) as tx:
                tx.audit("test", "made", f"job:{attempt.job.id}")
        case "refuse":
            raise BadInput("Line 7 has no end.", "Give it one.", column="c")
        case "busy":
            raise Overloaded("registry.db is busy.", "Try again in a moment.")
        case "crash":
            raise RuntimeError("an inner detail")
        case "crash-in-commit":
            with attempt.commit({}) as tx:
                tx.audit("test", "made", f"job:{attempt.job.id}")
                raise RuntimeError("an inner detail")
        case "die" if attempt.job.attempts <= payload["times"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case "die":
            with attempt.commit({"attempts": attempt.job.attempts}):
                pass
        case "hog":
            held = bytearray(200 << 20)
            held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
            time.sleep(60)
        case "burst":
            import numpy as np

            attempt.progress(0.5, "before it")
            mapped = np.empty(payload["mb"] << 20, np.uint8)  # asked for, and not used
            time.sleep(60)
            del mapped
        case "threads":
            tell_of_threads(attempt)
        case "grandchild":
            subprocess.Popen(["sleep", "60"], start_new_session=True)
            attempt.progress(0.5, "a child of its own")
            time.sleep(60)
        case "sleep":
            attempt.progress(0.25, "resting")
            time.sleep(60)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            attempt.progress(0.5, "not listening")
            time.sleep(60)
        case "late":
            with attempt.commit({"made": True}) as tx:
                attempt.progress(0.9, "committing")
                time.sleep(payload["seconds"])
                tx.audit("test", "made", f"job:{attempt.job.id}")


def tell_of_threads(attempt: Attempt) -> None:
    """Start threads of every kind there is here, then rest."""
    import numpy as np

    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    np.ones((500, 500)) @ np.ones((500, 500))
    subprocess.Popen(["sleep", "60"])
    attempt.progress(0.5, "many threads")
    time.sleep(60)


def main() -> int:
    die_with_parent()
    home = Path(sys.argv[1])
    store = open_store(home)
    job = ledger.find(store, sys.argv[2])
    assert job.attempts == int(sys.argv[3])
    return run_body(store, job, Progress(home / "run", job.id), body)


if __name__ == "__main__":
    sys.exit(main())
