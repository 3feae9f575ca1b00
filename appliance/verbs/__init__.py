"""Everything a person can ask of the appliance, as one table: name -> function(app, call) -> JSON.

The CLI's socket, the management API and the admin page all go through here: each can do exactly what the
others can, what a caller may do is checked once, and every change is audited under whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.app import App
from appliance.errors import BadInput
from appliance.security import roles
from appliance.verbs import (
    alerts,
    audit,
    certificates,
    datasets,
    deployments,
    doctor,
    egress,
    gpu,
    jobs,
    metrics,
    models,
    monitoring,
    people,
    predictions,
    recovery,
    sessions,
    settings,
    system,
    tokens,
    upgrade,
)
from appliance.verbs.call import Call

Verb = Callable[[App, Call], Any]

VERBS: dict[str, Verb] = {
    "status": system.status,
    "doctor": doctor.doctor,
    "gpu.show": gpu.show,
    "upgrade.show": upgrade.show,
    "config.ls": settings.ls,
    "dataset.add": datasets.add,
    "dataset.ls": datasets.ls,
    "dataset.show": datasets.show,
    "dataset.profile": datasets.profile,
    "dataset.rm": datasets.rm,
    "train": models.train,
    "model.ls": models.ls,
    "model.show": models.show,
    "model.versions": models.versions,
    "model.report": models.report,
    "model.export": models.export,
    "model.approve": models.approve,
    "model.rm": models.rm,
    "deploy": deployments.deploy,
    "rollback": deployments.rollback,
    "undeploy": deployments.undeploy,
    "deployment.ls": deployments.ls,
    "deployment.show": deployments.show,
    "predict": predictions.predict,
    "prediction.ls": monitoring.predictions,
    "prediction.show": monitoring.prediction,
    "traffic": monitoring.traffic_of,
    "drift": monitoring.drift,
    "alert.ls": alerts.ls,
    "alert.ack": alerts.acknowledge,
    "alert.resolve": alerts.resolve,
    "metrics": metrics.metrics,
    "token.create": tokens.create,
    "token.ls": tokens.ls,
    "token.revoke": tokens.revoke,
    "certificate.show": certificates.show,
    "certificate.ca": certificates.ca,
    "certificate.renew": certificates.renew,
    "certificate.use": certificates.use,
    "certificate.forget": certificates.forget,
    "egress.ls": egress.ls,
    "egress.allow": egress.allow,
    "egress.deny": egress.deny,
    "egress.test": egress.test,
    "job.ls": jobs.ls,
    "job.show": jobs.show,
    "job.logs": jobs.logs,
    "job.cancel": jobs.cancel,
    "audit.ls": audit.ls,
    "audit.verify": audit.verify,
    "audit.export": audit.export,
    "user.ls": people.ls,
    "user.add": people.add,
    "user.role": people.role,
    "user.reset": people.reset,
    "user.rm": people.rm,
    "role.ls": people.roles_ls,
    "session.ls": sessions.ls,
    "session.revoke": sessions.revoke,
    "account.password": sessions.password,
    "recovery.show": recovery.show,
    "recovery.make": recovery.make,
    "recovery.check": recovery.check,
    "setup.code": people.setup_code,
}


def perform(app: App, call: Call) -> Any:
    """Do what a call asks, if its caller may. Raises FalajError; nothing is half done then."""
    verb = VERBS.get(call.verb)
    if verb is None:
        raise BadInput(f"There is no '{call.verb[:60]}'.", "See: falaj --help")
    roles.check(call.caller, call.verb)
    return verb(app, call)
