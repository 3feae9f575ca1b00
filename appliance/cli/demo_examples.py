"""The two real data sets of `falaj demo`; scikit-learn carries them, so nothing is fetched."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from sklearn import datasets

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Example:
    """One data set and how it is used. `answers` are the true outcomes of `rows`."""

    name: str
    title: str
    target: str
    algorithm: str
    runtime: str | None
    rows: Rows
    answers: list[Any]

    def csv(self) -> bytes:
        """The table as a person would have it: a CSV with the target as its last column."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*self.rows[0], self.target])
        writer.writerows([*row.values(), answer] for row, answer in zip(self.rows, self.answers, strict=True))
        return text.getvalue().encode()


def breast_cancer() -> Example:
    """Is a tumour benign? 569 x 30 measurements (UCI Breast Cancer Wisconsin, 1993)."""
    bunch = datasets.load_breast_cancer()
    rows = [dict(zip(map(str, bunch.feature_names), map(float, row), strict=True)) for row in bunch.data]
    answers = [str(bunch.target_names[code]) for code in bunch.target]
    return Example("breast-cancer", "Breast cancer", "diagnosis", "lightgbm", None, rows, answers)


def digits() -> Example:
    """Which digit was written? 1797 x 64 grey values (UCI Optical Recognition, 1998)."""
    bunch = datasets.load_digits()
    rows = [dict(zip(map(str, bunch.feature_names), map(float, row), strict=True)) for row in bunch.data]
    answers = [int(code) for code in bunch.target]
    return Example("digits", "Handwritten digits", "digit", "mlp", "openvino", rows, answers)


def upper_tail(rows: Rows, column: str, share: float = 0.1) -> Rows:
    """The rows with the largest values of a column: what a business sees when its customers change."""
    return sorted(rows, key=lambda row: float(row[column]))[-max(1, round(share * len(rows))) :]
