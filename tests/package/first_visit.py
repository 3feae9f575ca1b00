"""`python -m tests.package.first_visit ADDRESS CODE`: the owner's first visit, in a real browser.

Run in the network of an installed machine: from the set-up code to a prediction, through the page alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.system import tables
from tests.system.browser import Visitor, chromium, visitor
from tests.system.test_browser import bring_in, put_to_use, set_up, train, try_it


class Terminal:
    """Where the code was printed, as `set_up` reads it."""

    def __init__(self, code: str) -> None:
        self._code = code

    def log(self) -> str:
        return f"\n      {self._code}\n"


def main() -> None:
    address, code = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="falaj-visit-"))
    steps: dict[str, Callable[[Visitor], None]] = {
        "set-up": lambda one: set_up(one, Terminal(code)),  # type: ignore[arg-type]
        "bring in a table": lambda one: bring_in(one, tables.churn(folder)),
        "train": lambda one: train(one, "boosted"),
        "put to use": lambda one: put_to_use(one, 1),
        "a prediction": try_it,
    }
    with chromium() as started, visitor(started, address, folder / "pictures") as one:
        for name, step in steps.items():
            began = time.monotonic()
            step(one)
            print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
