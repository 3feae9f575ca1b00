"""A row whose answer is known: right, wrong, or not answered at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.errors import NotFound
from appliance.inference.plane import Plane, prepare
from tests.unit.inference.conftest import HERE, load


@pytest.fixture
def plane() -> Plane:
    made = Plane()
    made.switch("price", prepare(load("falaj_test_server", Path(HERE) / "server.py").artefact("price", 2)))
    return made


class Changed:
    """A session whose answers are changed."""

    def __init__(self, session: Any, how: Any) -> None:
        self._session, self._how = session, how

    def run(self, x: Any) -> Any:
        return self._how(self._session.run(x))


def refuse(values: Any) -> Any:
    raise RuntimeError("no memory")


def test_a_known_row_is_answered_and_leaves_no_request_behind(plane: Plane) -> None:
    assert plane.prove("price") == ""
    assert plane.current("price").in_flight == 0
    with pytest.raises(NotFound):
        plane.prove("other")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (lambda v: v + 1000, "its answers differ by up to"),
        (lambda v: v * np.nan, "differ"),
        (refuse, "no memory"),
    ],
)
def test_what_is_wrong_is_said(plane: Plane, how: Any, why: str) -> None:
    served = plane.current("price")
    served.session = Changed(served.session, how)
    assert why in plane.prove("price")
    assert served.in_flight == 0
