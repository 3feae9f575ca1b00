"""What a check of the doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `fix`: what to do; where all is well, a piece of advice or nothing."""

    check: str
    ok: bool
    detail: str
    fix: str = ""
