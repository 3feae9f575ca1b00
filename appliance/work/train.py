"""The job that trains a version: a dataset in, a proven, judged and registered candidate out.

The order is the order of trust: the hold-out is set aside before anything learns, the graph is proven
before it is judged, and version, run, report and the job's success commit together.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance import clock
from appliance.data.bins import Reference
from appliance.home import Home
from appliance.jobs.child import Attempt
from appliance.registry import datasets, models
from appliance.registry.models import Run, Version, VersionState
from appliance.registry.numbers import next_number
from appliance.training import race
from appliance.training.race import Outcome
from appliance.validation import page, reference, report
from appliance.validation.gate import Policy, Verdict
from appliance.validation.validate import Holdout, Proofs, Validation, validate
from appliance.work import champion as champions
from appliance.work import proving
from appliance.work.environment import environment
from appliance.work.proving import Exported
from appliance.work.tables import Table, open_table

_TRAINED = 0.75  # share of the bar that reading and training take


@dataclass(frozen=True)
class Candidate:
    """Everything about a trained candidate before it has a version number."""

    table: Table
    signature: dict[str, Any]
    outcome: Outcome
    exported: Exported
    found: Validation
    reference: Reference
    notes: list[str]
    seconds: float


def train(home: Home, attempt: Attempt) -> None:
    """Body of the job `train`; payload: model, dataset, dataset_version, target, task, algorithm, seed ..."""
    began, payload, progress = time.monotonic(), attempt.job.payload, attempt.progress
    dataset = datasets.find(home.registry, payload["dataset"], payload["dataset_version"])
    progress(0.02, "reading")
    table = open_table(home, dataset, payload["target"], payload["task"], payload["seed"])
    signature, notes = table.signature(payload["target"], payload["drop"], payload["keep"])
    x = table.encode(signature)
    held_x, train_x = x[table.held], x[~table.held]
    outcome = race.train(
        train_x,
        table.y[~table.held],
        signature.features,
        table.finding.task.value,
        table.finding.labels,
        algorithm=payload["algorithm"],
        seed=payload["seed"],
        budget_seconds=payload["budget"],
        threads=home.config.training_threads,
        progress=lambda share, phase: progress(0.05 + (_TRAINED - 0.05) * share, phase),
    )
    progress(_TRAINED, "exporting and proving")
    exported = proving.export(outcome.fitted, signature.features, held_x, payload["seed"])
    progress(0.85, "validating")
    best = champions.challenge(home, payload["model"], table, payload["seed"])
    found = validate(
        Holdout(
            table.finding.task.value,
            table.finding.labels,
            signature.features,
            held_x,
            table.y[table.held],
            table.y[~table.held],
        ),
        outcome.fitted.predict,
        Proofs(best.answers, best.name, best.note, exported.parity.as_json(), exported.runtimes_json()),
        Policy(latency_budget_us=home.config.gate.latency_budget_us, min_rows=home.config.gate.min_rows),
        seed=payload["seed"],
    )
    bins = reference.reference(train_x, signature.features, outcome.fitted.predict(held_x))
    all_notes = [*table.notes, *notes]
    seconds = time.monotonic() - began
    candidate = Candidate(
        table, signature.as_json(), outcome, exported, found, bins, all_notes, round(seconds, 3)
    )
    progress(0.95, "registering")
    _register(home, attempt, candidate)


def _register(home: Home, attempt: Attempt, made: Candidate) -> None:
    """Write the blobs, then commit everything that refers to them; without the commit, the blobs go again."""
    sizes: dict[str, int] = {}

    def put(content: bytes) -> str:
        digest, size = home.put(content)
        sizes[digest] = size
        return digest

    try:
        _commit(home, attempt, made, put, sizes)
    except BaseException:
        for digest in sizes:
            home.blobs.remove(digest)
        raise


def _commit(
    home: Home, attempt: Attempt, made: Candidate, put: Callable[[bytes], str], sizes: dict[str, int]
) -> None:
    payload, dataset = attempt.job.payload, made.table.dataset
    model, run_id = payload["model"], f"r{attempt.job.id}"
    ran_on = environment(home.config.training_threads)
    verdict = made.found.gate.verdict
    graph, proof = put(made.exported.graph), put(made.exported.proof.pack())
    bins = put(json.dumps(made.reference.as_json()).encode())
    parameters = {name: payload[name] for name in ("task", "algorithm", "seed", "budget", "drop", "keep")}
    result: dict[str, Any] = {"run": run_id, "model": model, "version": 0}
    with attempt.commit(result) as tx:
        number = next_number(tx, "model", model)
        body = report.report(made.found, _about(made, payload, number, ran_on))
        stored = {"json": put(json.dumps(body).encode()), "html": put(page.html(body).encode())}
        version = Version(
            model=model,
            version=number,
            state=VersionState.REFUSED if verdict is Verdict.FAIL else VersionState.REGISTERED,
            run=run_id,
            task=made.found.task,
            algorithm=made.outcome.fitted.algorithm,
            digest=hashlib.sha256(made.exported.graph).hexdigest(),
            graph=graph,
            proof=proof,
            reference_bins=bins,
            signature=made.signature,
            metrics=body["metrics"],
            gate=body["gate"],
            report=json.dumps(stored),
            runtimes=made.exported.runtimes_json(),
            approved_by=None,
            approved_reason=None,
            created_at=clock.now(),
        )
        run = Run(
            id=run_id,
            model=model,
            dataset=dataset.name,
            dataset_version=dataset.version,
            target=payload["target"],
            parameters=parameters | {"fitted": made.outcome.fitted.params},
            environment=ran_on,
            job=attempt.job.id,
            seconds=made.seconds,
            created_at=version.created_at,
            created_by=attempt.job.created_by,
        )
        models.add_model(tx, model, version.created_at, attempt.job.created_by)
        models.add_run(tx, run)
        home.blobs.require(sizes)
        models.add_version(tx, version, sizes)
        detail = {"digest": version.digest, "gate": verdict.value, "dataset": dataset.reference}
        tx.audit(attempt.job.created_by, "model.register", f"model:{version.reference}", detail)
        result |= {
            "version": number,
            "task": version.task,
            "algorithm": version.algorithm,
            "state": version.state.value,
            "metric": body["metric"],
            "metrics": version.metrics,
            "gate": version.gate,
            "runtimes": version.runtimes,
            "notes": made.notes,
            "seconds": made.seconds,
        }


def _about(made: Candidate, payload: dict[str, Any], version: int, ran_on: dict[str, str]) -> dict[str, Any]:
    """What the report says besides what validation found."""
    dataset, outcome = made.table.dataset, made.outcome
    return {
        "model": payload["model"],
        "version": version,
        "created": clock.now(),
        "target": payload["target"],
        "dataset": {
            "name": dataset.name,
            "version": dataset.version,
            "digest": dataset.digest,
            "rows": dataset.rows,
            "columns": len(dataset.columns),
        },
        "training": {
            "algorithm": outcome.fitted.algorithm,
            "params": outcome.fitted.params,
            "seconds": made.seconds,
            "seed": payload["seed"],
            "rows": int(np.count_nonzero(~made.table.held)),
            "race": outcome.race_json(),
            "refitted": outcome.refitted,
            "task_reason": made.table.finding.reason,
        },
        "environment": ran_on,
        "notes": made.notes,
    }
