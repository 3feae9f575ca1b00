"""One site with a user of every role, for tests that change nothing of it; and fresh ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.doors.serving import Served, serve


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("site") / "home") as served:
        served.add_all_roles()
        yield served


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """A site that nobody has set up yet."""
    with serve(tmp_path / "home") as served:
        yield served
