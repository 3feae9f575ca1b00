"""Verbs on what happens to models in use: traffic, drift, kept predictions."""

from __future__ import annotations

import json
import time
from typing import Any

from appliance.app import App
from appliance.clock import stamp_of
from appliance.db import Row
from appliance.monitoring import prediction_log, standing, traffic, windows
from appliance.monitoring.prediction_log import Logged
from appliance.monitoring.traffic import DAY, HOUR, MINUTE
from appliance.registry import models
from appliance.registry.names import parse_reference
from appliance.verbs.call import Call

_POINTS = 120  # about so many points of time are given
_STEPS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY)
_MARGIN = 200  # levels that whoever renders a document may be deeper in its own calls
_MOST_HOURS = 24.0 * traffic.KEPT_DAYS


def drift(app: App, call: Call) -> Row:
    """Whether what a model in use is asked still looks like its training data; the history with `windows`."""
    name = _model(app, call)
    found = standing.standing(app.home, name)
    wanted = int(call.number("windows", 0, 0, 1000))
    if wanted:
        found["history"] = [_window(one) for one in windows.history(app.home.telemetry, name, wanted)]
    return found


def traffic_of(app: App, call: Call) -> Row:
    """Requests, errors and latency of the last `hours`, of one model or of all; in sum and by time."""
    hours = call.number("hours", 24.0, 0.1, _MOST_HOURS)
    name = _model(app, call) if call.args.get("model") else None
    now = time.time()
    since = now - hours * HOUR
    step = next((one for one in _STEPS if hours * HOUR / one <= _POINTS), DAY)
    series = traffic.series(app.home.telemetry, name, since, now, step)
    summed = traffic.summed(app.home.telemetry, name, series[0][0])
    return {
        "model": name,
        "hours": hours,
        "step": step,
        "models": {model: meter.as_json() for model, meter in sorted(summed.items()) if model},
        "unknown": summed[traffic.NO_MODEL].requests if traffic.NO_MODEL in summed else 0,
        "series": [{"at": stamp_of(starts)} | meter.as_json() for starts, meter in series],
    }


def predictions(app: App, call: Call) -> list[Row]:
    """The newest kept predictions of a model, newest first."""
    limit = int(call.number("limit", 50, 1, 1000))
    return [_logged(one) for one in prediction_log.recent(app.home.telemetry, _model(app, call), limit)]


def prediction(app: App, call: Call) -> Row:
    """One kept prediction: what was asked, what was said, by which version, for which token."""
    return _logged(prediction_log.find(app.home.telemetry, call.text("request_id")))


def _model(app: App, call: Call) -> str:
    """The name of a model that exists. Raises NotFound."""
    name, _ = parse_reference(call.text("model"), "model")
    models.find_version(app.home.registry, name)
    return name


def _window(one: windows.Window) -> Row:
    found = one.finding or windows.NOTHING_FOUND
    return {"version": one.version, "window": windows.span(one), **found}


def _logged(one: Logged) -> Row:
    return {
        "request_id": one.request_id,
        "at": one.at,
        "model": one.model,
        "version": one.version,
        "runtime": one.runtime,
        "rows": one.rows,
        "token": one.token,
        "request": _document(one.request),
        "reply": _document(one.reply),
    }


def _document(content: bytes) -> Any:
    """JSON as it was sent; None where it was too long to be kept, text where it is too deep to be shown.

    Python reads NaN, which clients send.
    """
    if not content:
        return None
    try:
        document = json.loads(content, parse_constant=lambda word: None)
        deeper = document
        for _ in range(_MARGIN):
            deeper = [deeper]
        json.dumps(deeper)
    except (ValueError, RecursionError):
        return content.decode(errors="replace")
    return document
