"""`python -m tests`: lint, types, import directions, then all tests; stops at nothing, fails at the end.

--unit   only the unit tests
--slow   also what takes minutes (docs/testing.md lists it)
"""

from __future__ import annotations

import subprocess
import sys
import time
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
    steps = [] if "--unit" in told else [*LINT]
    steps.append(("unit tests", ["pytest", "tests/unit", *QUICK, "-m", "not processes"]))
    if "--unit" not in told:
        steps.append(("process tests", ["pytest", "tests/unit", *QUICK, "-m", "processes"]))
        marker = [] if "--slow" in told else ["-m", "not slow"]
        steps.append(("system tests", ["pytest", "tests/system", *marker]))
        steps.append(("package tests", ["pytest", "tests/package", *marker]))
    failed = [name for name, command in steps if not run(name, command)]
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll of it passed.")
    return 1 if failed else 0


def run(name: str, command: list[str]) -> bool:
    print(f"\n== {name}", flush=True)
    began = time.monotonic()
    code = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, check=False).returncode
    print(
        f"== {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
