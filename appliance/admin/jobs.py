"""Jobs: the list, and one with its progress, its log and how it ended."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from appliance.admin import words
from appliance.admin.rendering import _, act, ask, can, page
from appliance.doors import access

blueprint = Blueprint("jobs", __name__)
_ACTIVE = ("queued", "running")


@blueprint.get("/jobs")
@access.needs("job.ls")
def jobs() -> Any:
    return page("jobs.html", jobs=ask("job.ls"), words=words)


@blueprint.get("/jobs/<job>")
@access.needs("job.show")
def job(job: str) -> Any:
    return page("job.html", **_about(job))


@blueprint.get("/jobs/<job>/now")
@access.needs("job.show")
def now(job: str) -> Any:
    """The part that is looked at again once a second while the job runs."""
    return page("job_now.html", **_about(job))


@blueprint.post("/jobs/<job>/cancel")
@access.needs("job.cancel")
def cancel(job: str) -> Any:
    here = f"/jobs/{job}"
    return act("job.cancel", _("The job is being stopped."), here, here, job=job)


def _about(job: str) -> dict[str, Any]:
    found = ask("job.show", job=job)
    log = ask("job.logs", job=job)["log"] if can("job.logs") else ""
    return {"job": found, "log": log, "active": found["state"] in _ACTIVE, "words": words}
