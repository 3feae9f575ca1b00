"""What kind of question a target column asks: yes or no, which one of several, or how much.

The task is found from the target's values and can be overridden. Classes get labels in plain
string form; the order of the labels is the order of the class codes 0..k-1, and for a yes/no
question the second label is the one whose probability is reported.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.errors import BadInput

MOST_CLASSES = 100
MOST_WHOLE_NUMBER_CLASSES = 20
FEWEST_ROWS_A_CLASS = 5  # of whole numbers, on average, to be read as classes


class Task(StrEnum):
    BINARY = "binary"  # two classes
    MULTICLASS = "multiclass"  # three or more classes
    REGRESSION = "regression"  # a number


@dataclass(frozen=True)
class Finding:
    """The task of a target, its labels in code order (empty for a number), and why, in one sentence."""

    task: Task
    labels: tuple[str, ...]
    reason: str


def known(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a target at all: bool[n]; None, NaN and "" have none."""
    if values.dtype.kind == "f":
        present: NDArray[np.bool_] = ~np.isnan(values)
        return present
    if values.dtype.kind in "biu":
        return np.ones(len(values), np.bool_)
    return np.fromiter((_present(value) for value in values), np.bool_, len(values))


def find_task(values: NDArray[Any], kind: str, wanted: str = "auto") -> Finding:
    """Task, labels and reason for the known target `values` ([n], none missing) of a column of `kind`.

    `wanted` overrides the task: "auto", "binary", "multiclass" or "regression". Raises BadInput when
    the target cannot be learnt (one value only, far too many classes, words where numbers are needed).
    """
    if wanted not in ("auto", *Task):
        raise BadInput(f"There is no task '{wanted}'.", "Use auto, binary, multiclass or regression.")
    if len(values) == 0:
        raise BadInput("The target column has no values.", "Choose another target column with --target.")
    counts = Counter(_label(value) for value in values.tolist())
    if len(counts) < 2:
        only = next(iter(counts))
        raise BadInput(
            f"The target column holds only one value, '{only}', so there is nothing to learn.",
            "Use a data set in which the target varies, or choose another target column.",
        )
    numeric = kind in ("number", "integer") and values.dtype.kind in "fiu"
    if wanted == "auto":
        task, reason = _guess(counts, kind if numeric or kind not in ("number", "integer") else "categorical")
    else:
        task, reason = Task(wanted), "It was asked for."
    if task is Task.REGRESSION:
        if not numeric:
            raise BadInput(
                "A number is to be predicted, but the target column holds words.",
                "Leave the task on auto, or choose a target column of numbers.",
            )
        return Finding(task, (), reason)
    if task is Task.BINARY and len(counts) != 2:
        raise BadInput(
            f"A yes/no question needs a target with two values; this one has {len(counts)}.",
            "Use --task multiclass, or leave the task on auto.",
        )
    if len(counts) > MOST_CLASSES:
        raise BadInput(
            f"The target has {len(counts)} different values; at most {MOST_CLASSES} classes can be learnt.",
            "Choose a target with fewer values, or --task regression if it is a quantity.",
        )
    if task is Task.MULTICLASS and len(counts) == 2:
        task = Task.BINARY
    labels = sorted(counts, key=float) if numeric else sorted(counts)
    return Finding(task, tuple(labels), reason)


def encode_target(values: NDArray[Any], finding: Finding) -> NDArray[Any]:
    """Target as numbers: int64[n] class codes, or float64[n]. BadInput for a value not in the labels."""
    if finding.task is Task.REGRESSION:
        numbers = values.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise BadInput(
                "The target column holds values that are not finite numbers.",
                "Clean them, then import again.",
            )
        return numbers
    code = {label: index for index, label in enumerate(finding.labels)}
    try:
        return np.fromiter((code[_label(value)] for value in values.tolist()), np.int64, len(values))
    except KeyError as unknown:
        raise BadInput(
            f"The target column holds {unknown}, which is not one of the classes.",
            "Train again on the whole data set so that every class is known.",
        ) from None


def _guess(counts: Counter[str], kind: str) -> tuple[Task, str]:
    distinct, rows = len(counts), counts.total()
    if kind not in ("number", "integer"):
        if distinct == 2:
            return Task.BINARY, "The target has two values, so this is a yes/no question."
        return Task.MULTICLASS, f"The target is one of {distinct} words, so the question is which of them."
    if distinct == 2:
        return Task.BINARY, "The target has two values, so this is a yes/no question."
    whole = all(float(label).is_integer() for label in counts)
    few = distinct <= MOST_WHOLE_NUMBER_CLASSES and rows >= FEWEST_ROWS_A_CLASS * distinct
    if whole and few and kind == "integer":
        return (
            Task.MULTICLASS,
            f"The target is one of {distinct} whole numbers, read as classes "
            "(--task regression reads them as amounts).",
        )
    return Task.REGRESSION, "The target is a number with many values, so the question is how much."


def _present(value: Any) -> bool:
    return value is not None and value != "" and value == value


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
