"""The rows and answers, kept with every version, that a runtime must reproduce before it may serve it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from appliance.runtimes.protocol import Matrix


@dataclass(frozen=True)
class Proof:
    """Encoded rows float32[m, d], the trained model's answers float32[m, k], and the difference allowed."""

    rows: Matrix
    expected: Matrix
    tolerance: float

    def pack(self) -> bytes:
        """One .npz file; it holds plain arrays only, no pickle."""
        stream = io.BytesIO()
        np.savez(stream, rows=self.rows, expected=self.expected, tolerance=np.float64(self.tolerance))
        return stream.getvalue()

    @classmethod
    def unpack(cls, content: bytes) -> Proof:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(arrays["rows"], arrays["expected"], float(arrays["tolerance"]))
