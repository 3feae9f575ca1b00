"""A family keeps its children running, whatever stands in the way."""

from __future__ import annotations

import resource
from pathlib import Path

from appliance.daemon.family import Child, Family


def test_a_child_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """The process that keeps the others must not end because there was no descriptor, memory or process."""
    child = Child("a child", ["no such role"])
    family = Family(tmp_path, [child])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        family._tend(child)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert child.process is None
    assert child.due > 0
    child.due = 0.0  # the pause is over
    family._tend(child)
    assert child.process is not None
    assert child.process.wait(30) == 2
