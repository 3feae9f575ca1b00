"""What encoding one row costs, as a ratio to the least that it could cost.

The floor is `np.array(values, dtype=float32)[None]` of the same row's floats. The ratio says the same on a
slow machine as on a fast one; the microseconds are for information. Run: python benchmarks/signature.py
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from appliance.data.signature import Column, Signature
from appliance.data.types import Kind

COLUMNS = 30
CITIES = ("Abu Dhabi", "Ajman", "Dubai", "Sharjah")
MIXED = (Kind.NUMBER, Kind.INTEGER, Kind.CATEGORICAL, Kind.BOOLEAN)
EXAMPLES: dict[Kind, Any] = {
    Kind.NUMBER: 1.25,
    Kind.INTEGER: 7,
    Kind.CATEGORICAL: "Dubai",
    Kind.BOOLEAN: True,
    Kind.DATETIME: "2026-01-31T08:30:00",
}


def microseconds(call: Callable[[], object]) -> float:
    number = 5_000
    return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e6


def signature_of(kinds: list[Kind]) -> tuple[Signature, dict[str, Any]]:
    columns = tuple(
        Column(f"column_{index}", kind, CITIES if kind is Kind.CATEGORICAL else ())
        for index, kind in enumerate(kinds)
    )
    row = {column.name: EXAMPLES[column.kind] for column in columns}
    return Signature(columns, "target", "binary", ("no", "yes")), row


def main() -> None:
    numbers = [Kind.NUMBER] * COLUMNS
    mixed = [MIXED[index % len(MIXED)] for index in range(COLUMNS)]
    cases: list[tuple[str, list[Kind], int]] = [
        ("30 numbers", numbers, 0),
        ("30 numbers, 3 missing", numbers, 3),
        ("30 mixed", mixed, 0),
        ("29 mixed, 1 date", [*mixed[:-1], Kind.DATETIME], 0),
    ]
    values = [1.25 * index for index in range(COLUMNS)]
    floor = microseconds(lambda: np.array(values, dtype=np.float32)[None])
    print(f"{'one row of':<24}{'x floor':>9}{'us':>9}")
    print(f"{'(floor) bare array':<24}{1.0:>9.1f}{floor:>9.2f}")
    for name, kinds, missing in cases:
        signature, row = signature_of(kinds)
        for column in list(row)[:missing]:
            row[column] = None
        took = microseconds(lambda signature=signature, row=row: signature.encode([row]))  # type: ignore[misc]
        print(f"{name:<24}{took / floor:>9.1f}{took:>9.2f}")
    signature, row = signature_of(mixed)
    many = [row] * 10_000
    took = min(timeit.repeat(lambda: signature.encode(many), number=1, repeat=3)) / len(many) * 1e6
    print(f"{'30 mixed, of 10 000':<24}{took / floor:>9.1f}{took:>9.2f}")


if __name__ == "__main__":
    main()
