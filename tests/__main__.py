"""`python -m tests`: lint, types, import directions, then all tests; stops at nothing, fails at the end.

--unit   only the unit tests
--slow   also what takes minutes (docs/testing.md lists it)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LINT = [
    ("ruff check", ["ruff", "check", "."]),
    ("ruff format", ["ruff", "format", "--check", "."]),
    ("mypy", ["mypy"]),
    ("import directions", ["lint-imports"]),
]
QUICK = ["-o", "faulthandler_timeout=150"]  # seconds after which one of these tests hangs


def main() -> int:
    told = set(sys.argv[1:])
    if unknown := told - {"--unit", "--slow"}:
        print(f"There is no option {', '.join(unknown)}. Use --unit or --slow.", file=sys.stderr)
        return 2
    unit = ("unit tests", ["pytest", "tests/unit", *QUICK, "-m", "not processes"])
    if "--unit" in told:
        return tell([] if run(*unit) else [unit[0]])
    marker = [] if "--slow" in told else ["-m", "not slow"]
    # the package is built and looked at on the other core, beside what needs no quiet
    with beside("package tests", ["pytest", "tests/package", *marker]) as package:
        done = {name: run(name, command) for name, command in (*LINT, unit)}
        done["process tests"] = run("process tests", ["pytest", "tests/unit", *QUICK, "-m", "processes"])
        done["package tests"] = package()
    done["system tests"] = run("system tests", ["pytest", "tests/system", *marker])
    return tell([name for name, well in done.items() if not well])


def tell(failed: list[str]) -> int:
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll of it passed.")
    return 1 if failed else 0


@contextmanager
def beside(name: str, command: list[str]) -> Iterator[Callable[[], bool]]:
    """Run a step beside others; what is given tells its output when it has ended, and whether it passed."""
    with tempfile.TemporaryFile("w+") as told:
        began = time.monotonic()
        process = subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=ROOT, stdout=told, stderr=told)

        def ended() -> bool:
            code = process.wait()
            told.seek(0)
            print(f"\n== {name}\n{told.read()}", end="")
            return close(name, code, began)

        try:
            yield ended
        finally:
            process.wait()


def run(name: str, command: list[str]) -> bool:
    print(f"\n== {name}", flush=True)
    began = time.monotonic()
    code = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, check=False).returncode
    return close(name, code, began)


def close(name: str, code: int, began: float) -> bool:
    """Say how a step has ended."""
    result = "ok" if code == 0 else f"FAILED ({code})"
    print(f"== {name}: {result} in {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
