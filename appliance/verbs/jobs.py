"""Verbs on jobs: look at them, wait for them, stop them."""

from __future__ import annotations

from appliance.app import App
from appliance.db import Row
from appliance.jobs import ledger, progress
from appliance.jobs.ledger import Job, JobState
from appliance.verbs.call import Call

_LOG_TAIL = 256 * 1024


def ls(app: App, call: Call) -> list[Row]:
    return [_with_progress(app, job) for job in ledger.recent(app.home.registry)]


def show(app: App, call: Call) -> Row:
    return _with_progress(app, ledger.find(app.home.registry, call.text("job")))


def logs(app: App, call: Call) -> Row:
    """The end of a job's log."""
    job = ledger.find(app.home.registry, call.text("job"))
    try:
        with open(progress.log_file(app.home.path, job.id), "rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - _LOG_TAIL))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    return {"job": job.id, "log": text}


def cancel(app: App, call: Call) -> Row:
    return ledger.request_cancel(app.home.registry, call.text("job"), call.actor).summary()


def _with_progress(app: App, job: Job) -> Row:
    if job.state is JobState.RUNNING:
        return job.summary() | progress.read(app.home.run_dir, job.id)
    done = job.state is JobState.SUCCEEDED
    return job.summary() | {"progress": 1.0 if done else 0.0, "phase": job.state.value}
