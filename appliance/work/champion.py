"""The version to beat: what answers for the model now, or else its newest deployable version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.data.signature import Signature
from appliance.errors import FalajError
from appliance.home import Home
from appliance.registry import deployments, models
from appliance.registry.models import Version
from appliance.runtimes import open_runtime
from appliance.work.tables import Table


@dataclass(frozen=True)
class Champion:
    """Its answers float32[m, k] on the held-out rows (None when it can't give any), its name, and a note."""

    answers: NDArray[Any] | None = None
    name: str = ""
    note: str = ""


def challenge(home: Home, model: str, table: Table) -> Champion:
    """Let the current champion answer the very rows that the candidate is judged on."""
    version = _find(home, model)
    if version is None:
        return Champion()
    signature = Signature.from_json(version.signature)
    if (signature.task, signature.labels) != (table.finding.task.value, table.finding.labels):
        note = f"{version.reference} answers another question, so it was not compared."
        return Champion(note=note)
    try:
        runtime = next(entry["runtime"] for entry in version.runtimes if entry["ok"])
        session = open_runtime(runtime).load(home.get(version.graph))
        try:
            answers = session.run(np.ascontiguousarray(table.encode_held(signature)))
        finally:
            session.close()
    except (FalajError, StopIteration) as error:
        why = error.message if isinstance(error, FalajError) else "no runtime can run it"
        return Champion(note=f"{version.reference} could not be compared: {why}")
    return Champion(answers, version.reference, _seen(home, version, table))


def _find(home: Home, model: str) -> Version | None:
    live = deployments.live(home.registry, model)
    if live is not None:
        return models.find_version(home.registry, model, live.version)
    allowed = [version for version in models.versions(home.registry, model) if version.deployable]
    return allowed[-1] if allowed else None


def _seen(home: Home, version: Version, table: Table) -> str:
    run = models.find_run(home.registry, version.run)
    if (run.dataset, run.dataset_version) == (table.dataset.name, table.dataset.version):
        return ""
    return (
        f"{version.reference} learnt from {run.dataset}:{run.dataset_version} and may have seen some of "
        "the rows it is compared on, which favours it."
    )
