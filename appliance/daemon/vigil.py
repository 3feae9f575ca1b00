"""Watching over the inference workers: which of them give no sign of life any more, or a wrong one.

Waiting is counted in the parent's own looks, each worth a moment at most. So time in which the whole machine
stood still or was too busy to let the parent look is nobody's fault, whatever a clock says.
"""

from __future__ import annotations

from pathlib import Path

from appliance import presence
from appliance.inference.pulse import ROLE

_MOST = 2.0  # seconds that pass, at the most, from one look to the next
_GRACE = 5.0  # seconds that the end of a stuck process may take


class Vigil:
    """`look` is called about once a second."""

    def __init__(self, run_dir: Path, patience: float) -> None:
        self._run_dir = run_dir
        self._patience = patience
        self._looked = float("-inf")
        self._waited: dict[int, tuple[int, float]] = {}  # by process: its newest sign, and how long ago
        self.proven: set[int] = set()  # the processes that have given a sign, and no wrong one
        self.wrong: dict[str, str] = {}  # by version: what was wrong with a worker's last answer

    def look(self, now: float, ready: set[int], wanted: int) -> dict[int, str]:
        """Why processes of those that are ready must be replaced; `wanted` is how many there should be."""
        passed = min(now - self._looked, _MOST)
        self._looked = now
        told = {body["pid"]: body for body in presence.present(self._run_dir, ROLE) if body["pid"] in ready}
        waited, due = {}, {}
        for pid in ready:
            sign = told[pid]["touched"] if pid in told else 0
            before, since = self._waited.get(pid, (sign, 0.0))
            waited[pid] = sign, (since + passed if sign == before else 0.0)
            if wrong := told.get(pid, {}).get("wrong"):
                self.wrong |= wrong
                due[pid] = "it answered a known row wrongly"
            elif waited[pid][1] > self._patience:
                due[pid] = f"it has given no sign of life for {self._patience:g} seconds"
        self._waited = waited
        self.proven = told.keys() - due.keys()
        if len(self.proven) >= wanted:
            self.wrong = {}
        return due

    @property
    def in_vain(self) -> bool:
        """Whether a process that must be replaced is still there."""
        return any(waited > self._patience + _GRACE for _, waited in self._waited.values())
