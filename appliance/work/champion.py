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
    """Its answers float32[m, k] on the held-out rows, its name, and a note.

    No answers but a name: it can't be compared, and the note says why. Both and a note: compared, but its
    own figures are not to be trusted.
    """

    answers: NDArray[Any] | None = None
    name: str = ""
    note: str = ""


def challenge(home: Home, model: str, table: Table, seed: int) -> Champion:
    """Let the current champion answer the very rows that the candidate is judged on.

    Only where it has not learnt from them, which is so for the same dataset version and seed: the hold-out
    is then the same. Anything else would favour it by what it remembers.
    """
    version = _find(home, model)
    if version is None:
        return Champion()
    signature = Signature.from_json(version.signature)
    if (signature.task, signature.labels) != (table.finding.task.value, table.finding.labels):
        return Champion(name=version.reference, note="it answers another question.")
    if note := _seen(home, version, table, seed):
        return Champion(name=version.reference, note=note)
    try:
        runtime = next(entry["runtime"] for entry in version.runtimes if entry["ok"])
        session = open_runtime(runtime).load(home.get(version.graph))
        try:
            answers = session.run(np.ascontiguousarray(table.encode_held(signature)))
        finally:
            session.close()
    except (FalajError, StopIteration) as error:
        why = error.message if isinstance(error, FalajError) else "no runtime can run it."
        return Champion(name=version.reference, note=why)
    return Champion(answers, version.reference, _suspected(version))


def _find(home: Home, model: str) -> Version | None:
    live = deployments.live(home.registry, model)
    if live is not None:
        return models.find_version(home.registry, model, live.version)
    allowed = [version for version in models.versions(home.registry, model) if version.deployable]
    return allowed[-1] if allowed else None


def _seen(home: Home, version: Version, table: Table, seed: int) -> str:
    run = models.find_run(home.registry, version.run)
    here = (table.dataset.name, table.dataset.version, seed)
    if (run.dataset, run.dataset_version, run.parameters["seed"]) == here:
        return ""
    return f"it learnt from {run.dataset}:{run.dataset_version} and so from some of the rows kept aside here."


def _suspected(version: Version) -> str:
    """A version that was almost perfect may know the answer beforehand: to be worse than that is no fault."""
    rules = {rule["rule"]: rule["verdict"] for rule in version.gate["rules"]}
    if rules.get("too_good_to_be_true") != "warn":
        return ""
    return f"But {version.reference} itself was too good to be true, so this may well be the honest one."
