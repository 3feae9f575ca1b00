"""The audit chain: every way to falsify it is found."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from appliance.db import Store, audit
from appliance.db.migrations import registry

KEY = b"audit key"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "registry.db", b"k" * 32, KEY, create=True)
    made.migrate(registry)
    for number in range(30):
        with made.write() as tx:
            tx.audit(f"user {number % 3}", "model.deploy", f"model:{number}", {"n": number})
    return made


def entries(store: Store) -> list[dict[str, Any]]:
    return store.all("SELECT * FROM audit ORDER BY seq")


def test_an_untouched_chain_is_whole(store: Store, tmp_path: Path) -> None:
    found = audit.verify(KEY, entries(store), audit.read_head(tmp_path))
    assert (found.entries, found.ok, found.why) == (30, True, "")
    assert audit.read_head(tmp_path) == (30, found.head)


def test_every_falsification_is_found(store: Store, tmp_path: Path) -> None:
    """1000 random edits, deletions, swaps and truncations."""
    rng = random.Random(0)
    head = audit.read_head(tmp_path)
    good = entries(store)
    for _ in range(1000):
        rows = [dict(row) for row in good]
        at = rng.randrange(len(rows))
        match rng.choice(["edit", "delete", "swap", "cut", "insert"]):
            case "edit":
                field = rng.choice(["at", "actor", "action", "subject", "detail", "digest"])
                rows[at][field] += "x"
            case "delete":
                del rows[at]
            case "swap":
                other = (at + 1 + rng.randrange(len(rows) - 1)) % len(rows)
                for field in ("at", "actor", "action", "subject", "detail", "digest"):
                    rows[at][field], rows[other][field] = rows[other][field], rows[at][field]
            case "cut":
                rows = rows[:at]
            case "insert":
                rows.insert(at, dict(rows[at]))
        assert not audit.verify(KEY, rows, head).ok


def test_a_cut_tail_is_seen_only_because_the_head_is_kept(store: Store, tmp_path: Path) -> None:
    """Teeth: without the remembered head (a chain with one entry), a cut would look whole."""
    rows = entries(store)[:-3]
    assert not audit.verify(KEY, rows, audit.read_head(tmp_path)).ok
    assert audit.verify(KEY, rows, (27, rows[-1]["digest"])).ok


def test_a_missing_head_is_no_excuse(store: Store, tmp_path: Path) -> None:
    (tmp_path / audit.HEAD_FILE).unlink()
    assert "missing" in audit.verify(KEY, entries(store), audit.read_head(tmp_path)).why


def test_the_head_may_lag_behind_but_never_moves_back(store: Store, tmp_path: Path) -> None:
    rows = entries(store)
    audit.keep_head(tmp_path, rows[4])
    assert audit.read_head(tmp_path) == (30, rows[-1]["digest"])
    (tmp_path / audit.HEAD_FILE).write_text(f"5 {rows[4]['digest']}\n")
    assert audit.verify(KEY, rows, audit.read_head(tmp_path)).ok


def test_another_key_does_not_verify(store: Store, tmp_path: Path) -> None:
    assert not audit.verify(b"other", entries(store), audit.read_head(tmp_path)).ok
