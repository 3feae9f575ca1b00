"""How a model in use stands: what was found in its last window of live rows, and how full the next one is."""

from __future__ import annotations

from appliance.db import Row
from appliance.errors import NotFound
from appliance.home import Home
from appliance.monitoring import windows
from appliance.registry import deployments, models


def standing(home: Home, model: str) -> Row:
    """What is known of a model in use: its last judged window, and how far the next one is.

    Raises NotFound for a model that isn't there or isn't in use.
    """
    live = deployments.live(home.registry, model)
    if live is None:
        models.find_version(home.registry, model)
        raise NotFound(
            f"'{model}' is not in use, so nothing is watched.", f"Deploy it with: falaj deploy {model}"
        )
    last = windows.last(home.telemetry, model, live.version)
    growing = windows.open_of(home.telemetry, model, live.version)
    finding = (last and last.finding) or windows.NOTHING_FOUND
    return {
        "model": model,
        "version": live.version,
        "window": windows.span(last),
        "verdict": finding["verdict"],
        "calibrated": finding["calibrated"],
        "features": finding["features"],
        "answers": finding["answers"],
        "next": {"rows": growing.rows if growing else 0, "needed": home.config.drift.rows},
    }
