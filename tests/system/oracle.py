"""The judge of the crash tests: what was acknowledged, and what an appliance's home makes of it afterwards.

A thing (a job, a dataset, a token, what answers for a model) has the states that are allowed for it. An
acknowledged call leaves one; a call whose connection broke leaves two, before and after, until somebody
looks. Whatever else is found, or found by halves, is a loss.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance import home as homes
from appliance.daemon import rounds
from appliance.db import Row, audit
from appliance.errors import DeadlineExceeded, FalajError, Overloaded, Unavailable
from appliance.home import Home
from appliance.jobs import ledger
from appliance.process import lives

Entry = tuple[str, str, Row]  # of the audit chain: action, subject, detail
Thing = tuple[str, str]  # its kind and its name; every name is used once
ABSENT, THERE, REVOKED, PENDING = "absent", "there", "revoked", "pending"
SUCCEEDED, CANCELLED = "succeeded", "cancelled"
_PAUSE = 0.05


@dataclass
class Oracle:
    """What the clients were told. Each thing is touched by one client at a time."""

    allowed: dict[Thing, set[str]] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    secrets: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, thing: Thing, after: str | set[str], call: Callable[[], Row]) -> Row | None:
        """Do a call that makes `thing` be `after`; None when it was not done, or nobody said so."""
        before = self.allowed.get(thing, {ABSENT})
        wanted = {after} if isinstance(after, str) else after
        self.allowed[thing] = before | wanted
        try:
            told = call()
        except FalajError as error:
            if self._unreached(error):
                self.allowed[thing] = before
            elif isinstance(error, Unavailable | Overloaded | DeadlineExceeded):
                self._count("in doubt")
            else:
                self.surprises.append(f"{thing} -> {wanted}: {type(error).__name__}: {error.message}")
            time.sleep(_PAUSE)
            return None
        self.allowed[thing] = wanted
        self._count(f"{thing[0]} {'/'.join(sorted(wanted)) if thing[0] != 'live' else 'changed'}")
        return told

    def saw(self, thing: Thing, state: str) -> None:
        """Somebody looked: from now on it is this."""
        if state not in self.allowed[thing]:
            self.surprises.append(f"{thing} was seen {state}, not {self.allowed[thing]}")
        self.allowed[thing] = {state}

    def losses(self, home: Home, final: bool = False) -> list[str]:
        """What is not as it was acknowledged; whatever was in doubt is settled by this look."""
        found, seen = list(self.surprises), _observe(home)
        for thing, allowed in self.allowed.items():
            state = seen.get(thing, ABSENT)
            if state == PENDING and not final and allowed != {ABSENT}:
                allowed.discard(ABSENT)
                continue
            if state not in allowed:
                found.append(f"{thing} is {state}, but was acknowledged as {allowed}")
            self.allowed[thing] = {state}
        self.surprises.clear()
        return found

    def _unreached(self, error: FalajError) -> bool:
        return isinstance(error, Unavailable) and "is not running" in error.message

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def _observe(home: Home) -> dict[Thing, str]:
    """The state of everything that there is; what isn't in it is absent."""
    rows = home.registry.all
    pending = {"queued": PENDING, "running": PENDING}
    seen = {
        ("job", row["subject"]): pending.get(row["state"], row["state"]) for row in rows("SELECT * FROM jobs")
    }
    seen |= {("dataset", row["name"]): THERE for row in rows("SELECT name FROM datasets")}
    seen |= {("model", row["model"]): THERE for row in rows("SELECT model FROM versions")}
    seen |= {
        ("live", row["model"]): str(row["version"])
        for row in rows("SELECT model, version FROM deployments WHERE state = 'live'")
    }
    tokens = rows("SELECT name, revoked_at FROM tokens")
    return seen | {("token", row["name"]): REVOKED if row["revoked_at"] else THERE for row in tokens}


def abandoned(home: Home) -> list[str]:
    """What is under way in the registry and in no process; nobody leads a roll-out while this is asked."""
    jobs = home.registry.all("SELECT * FROM jobs WHERE state = 'running'")
    rollouts = home.registry.all("SELECT id, model FROM deployments WHERE state = 'preparing'")
    return [
        *(f"job {job['id']} runs for ever" for job in jobs if not lives(job["lease_owner"] or "")),
        *(f"deployment {row['id']} of {row['model']} is preparing for ever" for row in rollouts),
    ]


def pending(home: Home) -> list[str]:
    """The jobs that have not ended."""
    return [job.id for job in ledger.unfinished(home.registry)]


def halves(home: Home) -> list[str]:
    """What is there only in part: rows without those they belong to, and an audit chain that tells else."""
    with home.registry.write() as tx:  # jobs go on; this is one moment
        rows, chain = tx.all, tx.all("SELECT * FROM audit ORDER BY seq")
        datasets, versions = rows("SELECT * FROM datasets"), rows("SELECT * FROM versions")
        tokens, runs = rows("SELECT * FROM tokens"), rows("SELECT * FROM runs")
        jobs, rollouts = rows("SELECT * FROM jobs"), rows("SELECT * FROM deployments")
        head = audit.read_head(home.path)
    told = [(entry["action"], entry["subject"], json.loads(entry["detail"])) for entry in chain]
    done = [job for job in jobs if job["state"] == SUCCEEDED]
    made = {subject for action, subject, _ in told if action in ("dataset.add", "model.register")}
    known = {row["id"] for row in rollouts}
    ever = {row["id"] for row in rollouts if row["state"] in ("live", "retired")}
    failed = {row["id"] for row in rollouts if row["state"] == "failed"}
    equal = {
        "dataset": (_named("dataset", "name", datasets), _left(told, "dataset.add", "dataset.remove")),
        "version": (_named("model", "model", versions), _left(told, "model.register", "model.remove")),
        "run": ({row["id"] for row in runs}, {row["run"] for row in versions}),
        "job": ({f"job:{row['id']}" for row in jobs}, _left(told, "job.add")),
        "token": ({f"token:{row['id']}" for row in tokens}, _left(told, "token.create")),
        "revoked token": (
            {f"token:{row['id']}" for row in tokens if row["revoked_at"]},
            _left(told, "token.revoke"),
        ),
        "roll-out": (known, _rollouts(told, "deployment.begin") & known),
        "switched roll-out": (ever, _rollouts(told, "deployment.switch") & known),
        "failed roll-out": (failed, _rollouts(told, "deployment.fail") & known),
    }
    within = {
        "result": ({_result(json.loads(job["result"])) for job in done}, made),
        "finished job": ({row["job"] for row in [*datasets, *runs]}, {job["id"] for job in done}),
    }
    found = [f"half a {kind}: {sorted(one ^ other)}" for kind, (one, other) in equal.items() if one != other]
    found += [f"half a {kind}: {sorted(one - other)}" for kind, (one, other) in within.items() if one - other]
    verdict = audit.verify(home.keys.key("audit"), chain, head)
    return found if verdict.ok else [*found, f"the audit chain: {verdict.why}"]


def _named(kind: str, column: str, rows: list[Row]) -> set[str]:
    return {f"{kind}:{row[column]}:{row['version']}" for row in rows}


def _result(result: Row) -> str:
    kind = "model" if "model" in result else "dataset"
    return f"{kind}:{result[kind]}:{result['version']}"


def _left(told: list[Entry], added: str, removed: str = "") -> set[str]:
    """The subjects that were added and not removed since."""
    there: set[str] = set()
    for action, subject, _ in told:
        if action == added:
            there.add(subject)
        if action == removed:
            there.discard(subject)
    return there


def _rollouts(told: list[Entry], action: str) -> set[int]:
    return {detail["deployment"] for done, _, detail in told if done == action}


def litter(home: Home) -> list[str]:
    """Stored files that nothing owns, or that are damaged or lost, and what was left half-written.

    Looked at as after the next start, and an hour later: until then the sweep leaves alone what nobody owns.
    """
    homes.tidy(home.path)
    rounds.sweep(home, {path.name: 0.0 for path in _stored(home)}, 10_000.0)
    owned = {str(row["digest"]) for row in home.registry.all("SELECT digest FROM blobs")}
    there = {path.name for path in _stored(home)}
    damaged = [name for name in sorted(owned & there) if not home.blobs.is_intact(name)]
    return [
        *(f"the file {name} belongs to nothing" for name in sorted(there - owned)),
        *(f"the file {name} is lost" for name in sorted(owned - there)),
        *(f"the file {name} is damaged" for name in damaged),
        *(f"{path} was left behind" for path in sorted(_hidden(home))),
    ]


def _stored(home: Home) -> list[Path]:
    return [path for path in home.blobs.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def _hidden(home: Home) -> list[Path]:
    """Files that are still being written, or were when their writer died."""
    return [path for path in home.path.rglob(".*") if path.is_file()]
