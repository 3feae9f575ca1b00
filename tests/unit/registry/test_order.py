"""What came last is last, whatever the wall clock said then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.db import Store
from appliance.db.migrations import registry
from appliance.jobs import ledger
from appliance.jobs.ledger import NewJob
from appliance.registry import sessions, users
from appliance.registry.sessions import MOST, Session
from appliance.security.roles import Role

LATER = "2026-11-25T10:00:00.000Z"
EARLIER = "2026-11-25T09:00:00.000Z"
LAST = "2026-12-25T10:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "registry.db", bytes(32), b"audit key", create=True)
    made.migrate(registry)
    return made


def test_the_newest_session_is_not_taken_for_the_oldest(store: Store) -> None:
    one = Session("", "", "mona", "", "", LATER, LATER, LAST)
    with store.write() as tx:
        users.add(tx, "mona", Role.ADMIN, "x", must_change=False, by="test")
        for number in range(MOST):
            sessions.add(tx, replace(one, id=str(number), digest=str(number)))
        sessions.add(tx, replace(one, id="new", digest="new", created_at=EARLIER))
        kept = [session.id for session in sessions.every(tx)]
    assert kept[0] == "new"
    assert len(kept) == MOST
    assert "0" not in kept


def test_the_newest_job_stays_the_newest(store: Store) -> None:
    with store.write() as tx:
        first, second = (ledger.add(tx, NewJob("train", "x", {}, 1, 1.0), "test") for _ in range(2))
        tx.execute("UPDATE jobs SET created_at = ? WHERE id = ?", (LATER, first))
        tx.execute("UPDATE jobs SET created_at = ? WHERE id = ?", (EARLIER, second))
    assert [job.id for job in ledger.recent(store)] == [second, first]
    assert ledger.queued(store) == [first, second]
