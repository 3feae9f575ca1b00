"""What running processes say of themselves, on tmpfs: who is there, and what each one serves.

One small file a process, replaced as a whole and believed only while that very process (id and start
time) lives. `poke` tells the others that the registry has changed; they look at the registry then.
Nothing here is truth: after a crash it is gone, and the registry is read anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

from appliance.db import Row
from appliance.process import lives, process_name

_LOOK = 0.005


def announce(run_dir: Path, role: str, body: Row) -> None:
    """Say what this process does now.

    Roles: inference, inference-worker, proof, tokens, tls, admin, worker.
    """
    path = _own(run_dir, role)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"role": role, "pid": os.getpid(), "process": process_name(os.getpid()), **body}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content))
    temporary.rename(path)


def touch(run_dir: Path, role: str) -> None:
    """Say once more what was announced: `touched` changes. Needs no room. Raises FileNotFoundError."""
    os.utime(_own(run_dir, role))


def leave(run_dir: Path, role: str) -> None:
    """This process stops."""
    _own(run_dir, role).unlink(missing_ok=True)


def _own(run_dir: Path, role: str) -> Path:
    return run_dir / "presence" / f"{role}.{os.getpid()}.json"


def present(run_dir: Path, role: str) -> list[Row]:
    """What the living processes of a role say, by process id; `touched` is when, to compare only."""
    found = []
    for path in sorted((run_dir / "presence").glob(f"{role}.*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            body: Row = json.loads(path.read_text()) | {"touched": path.stat().st_mtime_ns}
            if lives(body["process"]):
                found.append(body)
            else:
                path.unlink(missing_ok=True)
    return found


def poke(run_dir: Path) -> int:
    """Tell every process that the registry has changed; the stamp of this change."""
    stamp = stamp_now()
    temporary = run_dir / f".generation.{os.getpid()}.{threading.get_ident()}"
    temporary.write_text(str(stamp))
    temporary.rename(run_dir / "generation")  # of two at once either may end up there: both are seen as new
    return stamp


def stamp_now() -> int:
    """Nanoseconds since this boot: a look at the registry that begins now sees every earlier change."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def generation(run_dir: Path) -> int:
    """The stamp of the newest change, 0 before the first."""
    try:
        return int((run_dir / "generation").read_bytes())
    except (FileNotFoundError, ValueError):
        return 0


def wait_until_seen(run_dir: Path, role: str, stamp: int, seconds: float = 5.0) -> bool:
    """Wait until every living process of a role has said `seen` of this change; False when some did not."""
    deadline = time.monotonic() + seconds
    while any(body["seen"] < stamp for body in present(run_dir, role)):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK)
    return True


def clear(run_dir: Path) -> None:
    """Remove what this appliance keeps in its run folder; it has stopped, in good order or not."""
    for name in ("presence", "jobs"):
        shutil.rmtree(run_dir / name, ignore_errors=True)
    for name in ("generation", "local.token", "falaj.sock", "endpoint.sock", "tls.pem", "clock.json"):
        (run_dir / name).unlink(missing_ok=True)
        for unfinished in run_dir.glob(f".{name}.*"):  # its writer was killed
            unfinished.unlink(missing_ok=True)
    for note in run_dir.glob("mishap.*"):
        note.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run_dir.rmdir()
