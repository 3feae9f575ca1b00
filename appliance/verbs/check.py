"""What a check of the doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that `falaj doctor` looked at."""

    check: str
    ok: bool
    detail: str
    fix: str = ""
