"""What runs: the roles, the models that should answer, the jobs that wait, the certificate that is shown."""

from __future__ import annotations

from datetime import UTC, datetime

from appliance import clock, presence
from appliance.config import Config, start_command
from appliance.home import Home
from appliance.jobs import ledger, queue
from appliance.jobs.ledger import JobState
from appliance.security import certificates
from appliance.verbs.check import Check
from appliance.verbs.system import ROLES, lost

_BOUNDS = {
    "limits": "limits of their process",
    "groups": "limits of their process and a control group",
}
_LONG = 300.0  # seconds for which a job may wait beside a free worker


def check_certificate(home: Home) -> Check:
    """What other machines are shown, and, if need be, what only the owner can mend."""
    shown = certificates.current(home)
    if shown is None:
        return Check("certificate", True, "none yet: it is made at the first start")
    if late := certificates.behind(home, shown):
        told = f"process {late[0]} still shows an older certificate"
        return Check("certificate", False, told, "Stop the appliance and start it again.")
    verdict = certificates.judge(shown, datetime.now(UTC))
    return Check("certificate", verdict.ok, verdict.detail, verdict.fix)


def check_roles(settings: Config) -> Check:
    missing = [name for name, kind in ROLES.items() if not presence.present(settings.run_dir, kind)]
    if missing:
        fix = f"Start the appliance with: {start_command(settings.home)}"
        return Check("roles", False, f"not running: {', '.join(missing)}", fix)
    bound = {_BOUNDS[body["bounds"]] for body in presence.present(settings.run_dir, "worker")}
    told = "".join(f"; jobs are bound by {one}" for one in bound)
    return Check("roles", True, f"inference, admin and worker are running{told}")


def check_deployed(home: Home) -> Check:
    """Every worker that runs must answer for every version that the registry calls live."""
    workers = presence.present(home.run_dir, "inference-worker")
    if not workers:
        return Check("deployed", True, "not checked: no inference worker is running")
    missing = lost(home, workers)
    if missing:
        named = "; ".join(f"{name}: {why}" for name, why in sorted(missing.items()))
        return Check("deployed", False, f"not answering: {named}", "Deploy another version.")
    return Check("deployed", True, "every deployed version answers")


def check_queue(home: Home) -> Check:
    """Jobs that nobody takes, and the file that wakes the worker."""
    there = bool(presence.present(home.run_dir, "worker"))
    jobs = ledger.unfinished(home.registry)
    waiting = [job for job in jobs if job.state is JobState.QUEUED]
    running = len(jobs) - len(waiting)
    if broken := queue.fault(home.path / "queue.db"):
        fix = "It holds no data and is made anew by a start: stop the appliance and start it again."
        return Check("queue", not there, f"queue.db is broken: {broken}", fix)
    long = [job for job in waiting if _age(job.created_at) > _LONG]
    if there and long and running < home.config.worker.jobs:
        fix = f"See why: falaj job show {long[0].id}; starting the appliance anew wakes it."
        return Check("queue", False, f"{len(long)} jobs wait though the worker is free", fix)
    if waiting and not there:
        told = f"{len(waiting)} jobs wait, and no worker runs"
        return Check("queue", False, told, f"Start the appliance with: {start_command(home.path)}")
    return Check("queue", True, f"{running} jobs running, {len(waiting)} waiting")


def _age(stamp: str) -> float:
    return (datetime.now(UTC) - clock.parse(stamp)).total_seconds()
