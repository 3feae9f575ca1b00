"""Everything that is counted, as Prometheus text: requests, and how the appliance stands."""

from __future__ import annotations

import shutil
from collections import Counter

from appliance import presence
from appliance.app import App
from appliance.db import Row
from appliance.home import Home
from appliance.jobs import ledger
from appliance.jobs.ledger import JobState
from appliance.monitoring import prediction_log, prometheus, traffic, windows
from appliance.monitoring.prometheus import Sample, gauge
from appliance.registry import alerts, deployments
from appliance.registry.deployments import DeploymentState
from appliance.verbs.call import Call
from appliance.verbs.system import ROLES


def metrics(app: App, call: Call) -> Row:
    home = app.home
    kept = prediction_log.size(home.telemetry)["bytes"]
    free = shutil.disk_usage(home.path).free
    parts = [
        prometheus.requests(traffic.totals(home.telemetry)),
        gauge("falaj_drift_score", "Change of a feature in the last window (PSI).", _drift(home)),
        gauge("falaj_alerts", "Alerts that are not resolved.", _alerts(home)),
        gauge("falaj_jobs", "Jobs that wait or run.", _jobs(home)),
        gauge("falaj_processes", "Living processes by role.", _processes(home)),
        gauge("falaj_disk_free_bytes", "Free space where the data are kept.", [({}, free)]),
        gauge("falaj_kept_predictions_bytes", "Disk space of kept predictions.", [({}, kept)]),
    ]
    return {"text": "".join(parts)}


def _drift(home: Home) -> list[Sample]:
    found: list[Sample] = []
    for one in deployments.serving(home.registry):
        if one.state is not DeploymentState.LIVE:
            continue
        last = windows.last(home.telemetry, one.model, one.version)
        for feature in last.finding["features"] if last and last.finding else ():
            found.append(({"model": one.model, "feature": feature["name"]}, feature["score"]))
    return found


def _alerts(home: Home) -> list[Sample]:
    counts = Counter((alert.model, alert.rule) for alert in alerts.unresolved(home.registry))
    return [({"model": model, "rule": rule}, count) for (model, rule), count in sorted(counts.items())]


def _jobs(home: Home) -> list[Sample]:
    counts = Counter(job.state for job in ledger.unfinished(home.registry))
    return [({"state": state.value}, counts[state]) for state in (JobState.QUEUED, JobState.RUNNING)]


def _processes(home: Home) -> list[Sample]:
    return [({"role": name}, len(presence.present(home.run_dir, kind))) for name, kind in ROLES.items()]
