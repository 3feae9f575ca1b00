"""How far a running job is, and where its log lies.

Progress is a small file on tmpfs, replaced as a whole: it is read once a second by whoever watches and
is worth nothing after a crash, so it stays out of the registry.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from appliance.db import Row

_INTERVAL = 0.2


class Progress:
    """Written by a job's child. `fraction` runs from 0 to 1 and never goes back."""

    def __init__(self, run_dir: Path, job: str) -> None:
        self._path = progress_file(run_dir, job)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fraction = 0.0
        self._phase = ""
        self._written = 0.0

    def __call__(self, fraction: float, phase: str) -> None:
        self._fraction = max(self._fraction, min(1.0, fraction))
        if phase == self._phase and time.monotonic() - self._written < _INTERVAL:
            return
        self._phase, self._written = phase, time.monotonic()
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"progress": round(self._fraction, 4), "phase": phase}))
        temporary.rename(self._path)


def read(run_dir: Path, job: str) -> Row:
    """`{"progress": 0..1, "phase": text}`; zero before the job has said anything."""
    with contextlib.suppress(OSError, ValueError):
        content: Row = json.loads(progress_file(run_dir, job).read_text())
        return content
    return {"progress": 0.0, "phase": ""}


def clear(run_dir: Path, job: str) -> None:
    progress_file(run_dir, job).unlink(missing_ok=True)


def progress_file(run_dir: Path, job: str) -> Path:
    return run_dir / "jobs" / f"{job}.json"


def log_file(home: Path, job: str) -> Path:
    return home / "logs" / "jobs" / f"{job}.log"
