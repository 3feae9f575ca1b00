"""The look at what models in use are asked: close windows that hold enough rows, judge them, tell of it.

It runs in the job worker. The alert is written first and the judged window last: a crash between the two
makes the same window be judged again, and an alert that is there already is only brought up to date.
"""

from __future__ import annotations

import json
import logging
import time

from appliance import clock
from appliance.data.bins import Reference
from appliance.db import Row
from appliance.errors import FalajError
from appliance.home import Home
from appliance.monitoring import drift, outgoing, prediction_log, traffic, windows
from appliance.monitoring.drift import Finding
from appliance.monitoring.windows import Verdict, Window
from appliance.registry import alerts, deployments, models
from appliance.registry.deployments import DeploymentState

log = logging.getLogger(__name__)

CALM_WINDOWS = 2  # windows in a row without a finding after which an alert is resolved
_WHOLE = 2  # hours for which every judged window is kept; then one an hour, and what had drifted
_IDLE = 60.0  # seconds after which the last rows of a version that went out of use have arrived


class Watch:
    """Judges windows of one appliance; remembers the reference bins of the versions in use."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._references: dict[tuple[str, int], Reference] = {}

    def look(self) -> None:
        """One round: every open window, and the alerts of models that are no longer in use."""
        live = {
            one.model: one.version
            for one in deployments.serving(self._home.registry)
            if one.state is DeploymentState.LIVE
        }
        self._references = {key: kept for key, kept in self._references.items() if key in live.items()}
        for window in windows.every_open(self._home.telemetry):
            try:
                if live.get(window.model) == window.version:
                    self._judge_if_due(window)
                elif _age(window.updated_at) > _IDLE:
                    self._give_up(window)
            except FalajError as error:
                log.warning("%s:%d can't be watched: %s", window.model, window.version, error.message)
            except Exception:  # one odd window must not keep the others from being judged
                log.exception("%s:%d can't be watched", window.model, window.version)
        for alert in alerts.unresolved(self._home.registry):
            if alert.model not in live:
                with self._home.registry.write() as tx:
                    alerts.resolve(tx, alert.id, "system", "the model is no longer in use")

    def _judge_if_due(self, seen: Window) -> None:
        settings = self._home.config.drift
        old = _age(seen.opened_at) > settings.days * traffic.DAY
        if seen.rows < settings.rows and not (old and seen.rows >= drift.LEAST):
            return
        reference = self._reference(seen.model, seen.version)
        with self._home.telemetry.write() as tx:
            window = windows.open_of(tx, seen.model, seen.version)  # it may have grown meanwhile
            if window is None:
                return
            finding = drift.judge(reference, window.features, window.score, p=settings.p, psi=settings.psi)
            self._tell(window, finding)
            windows.close(tx, window, finding.verdict, finding.as_json())

    def _tell(self, window: Window, finding: Finding) -> None:
        model, rule = window.model, alerts.DRIFT
        if finding.verdict is not Verdict.DRIFTED:
            if any(alert.rule == rule for alert in alerts.unresolved(self._home.registry, model)):
                with self._home.registry.write() as tx:
                    alerts.calm(tx, rule, model, CALM_WINDOWS)
            return
        with self._home.registry.write() as tx:
            if alerts.fire(tx, rule, model, window.version, finding.drifted, _detail(window, finding)):
                log.warning("%s: what it is asked has changed: %s", model, ", ".join(finding.drifted))

    def _give_up(self, window: Window) -> None:
        with self._home.telemetry.write() as tx:
            if (now := windows.open_of(tx, window.model, window.version)) is not None:
                windows.close(tx, now, Verdict.UNDECIDED, windows.NOTHING_FOUND)

    def _reference(self, model: str, version: int) -> Reference:
        kept = self._references.get((model, version))
        if kept is None:
            digest = models.find_version(self._home.registry, model, version).reference_bins
            kept = Reference.from_json(json.loads(self._home.get(digest)))
            self._references[model, version] = kept
        return kept


def housekeeping(home: Home, clock_moved: bool = False) -> None:
    """Keep telemetry within its bounds: old and too much goes, small pieces are put together.

    While the wall clock has been moved nothing is taken for old: it may be wrong by a year.
    """
    now, settings = time.time(), home.config.telemetry
    most = settings.log_mb << 20
    with home.telemetry.write() as tx:
        if clock_moved:
            prediction_log.prune(tx, 0.0, 0.0, most)
            return
        traffic.thin(tx, now)
        outgoing.thin(tx, now)
        windows.thin(tx, clock.stamp_of(now - _WHOLE * traffic.HOUR))
        prediction_log.prune(tx, now, settings.log_days, most)
        prediction_log.merge(tx, now)


def _detail(window: Window, finding: Finding) -> Row:
    found = finding.as_json()
    return {
        "window": windows.span(window),
        "calibrated": finding.calibrated,
        "features": [one for one in found["features"] if one["drifted"]],
        "answers": [one for one in found["answers"] if one["drifted"]],
    }


def _age(stamp: str) -> float:
    """Seconds since then, by the wall clock."""
    return (clock.parse(clock.now()) - clock.parse(stamp)).total_seconds()
