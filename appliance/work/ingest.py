"""The job that turns a file into a dataset: sealed Parquet chunks under a key of their own, and a profile.

The source lies sealed in the home already. Chunks are written as they come; the row that makes them a
dataset, and the job's success, commit at the end. Until then nothing refers to them, and whatever a
crash leaves is swept away.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from appliance import clock
from appliance.blobs import Blob
from appliance.data.options import ImportOptions
from appliance.data.snapshot import ImportedTable, import_table
from appliance.home import Home
from appliance.jobs.child import Attempt
from appliance.keys import new_key
from appliance.registry import datasets
from appliance.registry.datasets import Dataset
from appliance.registry.numbers import next_number


def ingest(home: Home, attempt: Attempt) -> None:
    """Body of the job `ingest`; payload: name, filename, source (a blob), options."""
    payload = attempt.job.payload
    key = new_key()
    chunks: list[Blob] = []
    made = False
    try:
        with home.blobs.open(payload["source"], home.keys.key("blobs")) as source:
            table = import_table(
                source,
                payload["filename"],
                ImportOptions.from_json(payload["options"]),
                lambda content: chunks.append(home.blobs.put(content, key)),
                attempt.progress,
            )
        if len(table.columns) == 1:
            table.notes.append("There is only one column: is the separator right? Say it with --separator.")
        made = _commit(home, attempt, table, chunks, key)
    finally:
        if not made:
            for chunk in chunks:
                home.blobs.remove(chunk.digest)


def _commit(home: Home, attempt: Attempt, table: ImportedTable, chunks: list[Blob], key: bytes) -> bool:
    """Make the dataset; False when its newest version has just this content already."""
    job, payload = attempt.job, attempt.job.payload
    columns = [column.as_json() for column in table.columns]
    digest = hashlib.sha256(json.dumps([columns, [chunk.content for chunk in chunks]]).encode()).hexdigest()
    result: dict[str, Any] = {
        "dataset": payload["name"],
        "version": 0,
        "digest": digest,
        "rows": table.rows,
        "columns": len(columns),
        "notes": table.notes,
        "unchanged": False,
    }
    with attempt.commit(result) as tx:
        same = datasets.find_same(tx, payload["name"], digest)
        if same is not None:
            result |= {"version": same.version, "unchanged": True}
            return False
        result["version"] = next_number(tx, "dataset", payload["name"])
        dataset = Dataset(
            name=payload["name"],
            version=result["version"],
            digest=digest,
            rows=table.rows,
            columns=columns,
            profile=table.profile,
            notes=table.notes,
            manifest=[vars(chunk) for chunk in chunks],
            data_key=home.keys.wrap(key, f"dataset:{digest}"),
            source=payload["filename"],
            options=payload["options"],
            job=job.id,
            created_at=clock.now(),
            created_by=job.created_by,
        )
        home.blobs.require(chunk.digest for chunk in chunks)
        datasets.add(tx, dataset)
        detail = {"digest": digest, "rows": table.rows, "job": job.id}
        tx.audit(job.created_by, "dataset.add", f"dataset:{dataset.reference}", detail)
    return True
