"""One appliance for all tests that only add to it, and a way to make others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.appliance import Appliance


@pytest.fixture(scope="session")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    made = Appliance(tmp_path_factory.mktemp("shared") / "home").start()
    yield made
    made.stop()


@pytest.fixture
def new_appliance(tmp_path: Path) -> Iterator[Callable[..., Appliance]]:
    """Make an appliance of one's own, by settings `FALAJ_SECTION_KEY="value"`; it is stopped at the end."""
    made: list[Appliance] = []

    def make(home: Path | None = None, **settings: str) -> Appliance:
        made.append(Appliance(home or tmp_path / f"home{len(made)}", settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()
