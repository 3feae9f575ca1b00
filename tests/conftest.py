"""What all tests share: the real data sets, and the rule that a skip in CI needs a listed reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The path of a real data set, by file name; skips where the data is not beside the checkout."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip("shared data not here")
        return SHARED / name

    return find


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, a skip whose reason is not in tests/expected_skips fails the run."""
    if os.environ.get("CI") != "true" or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    lines = (ROOT / "tests" / "expected_skips").read_text().splitlines()
    expected = {line for line in lines if line and not line.startswith("#")}
    for report in reporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ") if report.longrepr else ""
        if reason not in expected:
            reporter.write_line(
                f"\n{report.nodeid} was skipped in CI without a listed reason: {reason}", red=True
            )
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
