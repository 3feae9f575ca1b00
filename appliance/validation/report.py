"""The report of one candidate as JSON: everything that was found, nothing that a page would have to compute.

`about` says what the candidate is; it is passed through and shown: model, version, created, target, dataset
{name, version, digest, rows, columns}, training {algorithm, params, seconds, seed, rows, race, refitted,
task_reason}, environment {name: text}, notes [text]. All are optional but `model` and `target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from appliance.validation.metrics import HIGHER_IS_BETTER, PRIMARY
from appliance.validation.validate import BASELINE, CANDIDATE, CHAMPION, Validation
from appliance.validation.words import meaning, verdict_sentence

SCHEMA = 1


def report(found: Validation, about: Mapping[str, Any]) -> dict[str, Any]:
    """The report as a JSON-able dict; no NaN in it. Give it to `page.html` for the readable form."""
    evaluation = found.evaluation
    models = {
        name: {metric: one.as_json() for metric, one in metrics.items()}
        for name, metrics in evaluation.models.items()
    }
    body = {
        "schema": SCHEMA,
        **{key: about.get(key, "") for key in ("model", "version", "created", "target")},
        "task": found.task,
        "labels": list(found.labels),
        "metric": PRIMARY[found.task],
        "higher_is_better": HIGHER_IS_BETTER[PRIMARY[found.task]],
        "metrics": models[CANDIDATE],
        "baseline": models[BASELINE],
        "champion": models.get(CHAMPION),
        "champion_name": found.proofs.champion_name,
        "improvements": {
            name: {metric: one.as_json() for metric, one in metrics.items()}
            for name, metrics in evaluation.improvements.items()
        },
        "gate": found.gate.as_json(),
        "policy": found.policy.as_json(),
        "holdout": {
            "rows": evaluation.rows, "class_rows": found.class_rows, "resamples": evaluation.resamples,
        },
        "calibration": None if found.calibration is None else asdict(found.calibration),
        "importance": [asdict(one) for one in found.importance],
        "plots": found.plots,
        "parity": None if found.proofs.parity is None else dict(found.proofs.parity),
        "latency": [dict(one) for one in found.proofs.latency],
        "dataset": dict(about.get("dataset") or {}),
        "training": dict(about.get("training") or {}),
        "environment": dict(about.get("environment") or {}),
        "notes": list(about.get("notes") or []),
    }  # fmt: skip
    body["verdict"] = verdict_sentence(found.gate.verdict.value)
    body["meaning"] = meaning(body)
    plain: dict[str, Any] = _plain(body)
    return plain


def _plain(value: Any) -> Any:
    """Python's own types only, null for what is no finite number: any JSON reader takes it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value if value is None or type(value) is str else str(value)
