"""The task is read from the target as a person would read it, or the refusal says why."""

import numpy as np
import pytest

from appliance.errors import BadInput
from appliance.training.tasks import Task, encode_target, find_task, known


@pytest.mark.parametrize(
    ("values", "kind", "task", "labels"),
    [
        (["no", "yes", "no"], "categorical", Task.BINARY, ("no", "yes")),
        ([True, False, True], "boolean", Task.BINARY, ("false", "true")),
        ([0, 1, 1, 0], "integer", Task.BINARY, ("0", "1")),
        (["b", "c", "a"], "categorical", Task.MULTICLASS, ("a", "b", "c")),
        (list(range(3)) * 10, "integer", Task.MULTICLASS, ("0", "1", "2")),
        ([2, 10] * 5 + [1] * 20, "integer", Task.MULTICLASS, ("1", "2", "10")),
        (list(range(30)), "integer", Task.REGRESSION, ()),
        (list(range(500)), "integer", Task.REGRESSION, ()),
        ([0.5, 1.25, 7.0, 2.5], "number", Task.REGRESSION, ()),
        ([1.0, 0.0, 1.0], "number", Task.BINARY, ("0", "1")),
    ],
)
def test_task_and_labels_are_found(values, kind, task, labels):
    array = np.array(values, object) if isinstance(values[0], str) else np.array(values)
    finding = find_task(array, kind)
    assert (finding.task, finding.labels) == (task, labels)
    assert finding.reason.endswith(".")


def test_codes_follow_the_labels():
    values = np.array(["yes", "no", "yes"], object)
    assert encode_target(values, find_task(values, "categorical")).tolist() == [1, 0, 1]
    numbers = np.array([10, 2, 1] * 9)
    assert encode_target(numbers, find_task(numbers, "integer"))[:3].tolist() == [2, 1, 0]


def test_a_value_without_a_label_is_named():
    finding = find_task(np.array(["a", "b"], object), "categorical")
    with pytest.raises(BadInput, match="'c'"):
        encode_target(np.array(["c"], object), finding)


@pytest.mark.parametrize(
    ("values", "kind", "wanted", "says"),
    [
        (["x", "x"], "categorical", "auto", "only one value, 'x'"),
        ([], "number", "auto", "no values"),
        (["a", "b", "c"], "categorical", "binary", "two values; this one has 3"),
        (["a", "b"], "categorical", "regression", "holds words"),
        ([f"v{i}" for i in range(200)], "categorical", "auto", "200 different values"),
        (["a", "b"], "categorical", "ranking", "no task 'ranking'"),
    ],
)
def test_what_cannot_be_learnt_is_refused(values, kind, wanted, says):
    with pytest.raises(BadInput, match=says) as caught:
        find_task(np.array(values, object), kind, wanted)
    assert caught.value.hint


def test_infinite_targets_are_refused():
    values = np.array([1.5, np.inf, 2.5, 4.5])
    with pytest.raises(BadInput, match="finite"):
        encode_target(values, find_task(values, "number"))


def test_known_rows():
    assert known(np.array([1.0, np.nan])).tolist() == [True, False]
    assert known(np.array(["a", None, ""], object)).tolist() == [True, False, False]
    assert known(np.array([0, 1])).all()
