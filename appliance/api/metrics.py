"""`/metrics` of the admin port, where Prometheus looks for it: outside the API, with a token for a role."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, g

from appliance.doors import access
from appliance.doors.site import METRICS, Site
from appliance.monitoring.prometheus import CONTENT_TYPE
from appliance.verbs import perform
from appliance.verbs.call import Call

metrics = Blueprint("metrics", __name__)


@metrics.get(METRICS)
@access.needs("metrics")
def all_metrics() -> Response:
    found = perform(cast(Site, current_app).app, Call("metrics", g.identity.caller))
    return Response(found["text"], content_type=CONTENT_TYPE)
