"""What running processes say of themselves, on tmpfs: who is there, and what each one serves.

One small file a process, replaced as a whole and believed only while that very process (id and start
time) lives. `poke` tells the others that the registry has changed; they look at the registry then.
Nothing here is truth: after a crash it is gone, and the registry is read anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from appliance.db import Row
from appliance.process import lives, process_name


def announce(run_dir: Path, role: str, body: Row) -> None:
    """Say what this process does now. Roles: inference, inference-worker, admin, worker."""
    folder = run_dir / "presence"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{role}.{os.getpid()}.json"
    content = {"role": role, "pid": os.getpid(), "process": process_name(os.getpid()), **body}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.rename(path)


def leave(run_dir: Path, role: str) -> None:
    """This process stops."""
    (run_dir / "presence" / f"{role}.{os.getpid()}.json").unlink(missing_ok=True)


def present(run_dir: Path, role: str) -> list[Row]:
    """What the living processes of a role say, by process id."""
    found = []
    for path in sorted((run_dir / "presence").glob(f"{role}.*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            body: Row = json.loads(path.read_text())
            if lives(body["process"]):
                found.append(body)
            else:
                path.unlink(missing_ok=True)
    return found


def poke(run_dir: Path) -> None:
    """Tell every process that the registry has changed."""
    temporary = run_dir / f".generation.{os.getpid()}"
    temporary.write_text(os.urandom(8).hex())
    temporary.rename(run_dir / "generation")


def generation(run_dir: Path) -> tuple[int, int]:
    """A value that differs after every `poke`; costs one stat."""
    try:
        found = (run_dir / "generation").stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
