"""A thousand ways to falsify the records of a real, encrypted database: each is found by `audit.verify`."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3

from appliance import home
from appliance.app import App, open_app
from appliance.db import audit
from appliance.db.audit import HEAD_FILE
from appliance.security.roles import SYSTEM
from appliance.verbs import perform
from appliance.verbs.call import Call

ENTRIES, ATTACKS = 60, 1000
FIELDS = ("at", "actor", "action", "subject", "detail", "digest")
Attack = Callable[[Any, random.Random], bool]


@pytest.fixture
def app(tmp_path: Path) -> App:
    home.create(tmp_path / "home")
    made = open_app(tmp_path / "home")
    for number in range(ENTRIES - 1):
        with made.home.registry.write() as tx:
            actor = f"user:{'mona' if number % 3 else 'omar'}"
            tx.audit(actor, "model.deploy", f"model:m{number}", {"n": number, "why": "é" * (number % 4)})
    return made


def connect(app: App) -> Any:
    """The database as somebody opens it who has the key and SQLCipher, not through our code."""
    connection = sqlcipher3.connect(str(app.home.path / "registry.db"), isolation_level=None)
    connection.execute(f"PRAGMA key = \"x'{app.home.keys.key('registry').hex()}'\"")
    return connection


def edit(connection: Any, rng: random.Random) -> bool:
    """One letter of one field, somewhere."""
    seq, field = rng.randint(1, ENTRIES), rng.choice(FIELDS)
    (text,) = connection.execute(f"SELECT {field} FROM audit WHERE seq = ?", (seq,)).fetchone()
    at = rng.randrange(len(text) + 1)
    change = rng.choice(["x", "", " ", "\u200b", "Z"])
    new = text[:at] + change + text[at + rng.randint(0, 1) :]
    connection.execute(f"UPDATE audit SET {field} = ? WHERE seq = ?", (new, seq))
    return bool(new != text)


def exchange(connection: Any, rng: random.Random) -> bool:
    """One field between two entries."""
    one, other, field = rng.randint(1, ENTRIES), rng.randint(1, ENTRIES), rng.choice(FIELDS)
    texts = [connection.execute(f"SELECT {field} FROM audit WHERE seq = ?", (seq,)).fetchone()[0]
             for seq in (one, other)]  # fmt: skip
    for seq, text in ((one, texts[1]), (other, texts[0])):
        connection.execute(f"UPDATE audit SET {field} = ? WHERE seq = ?", (text, seq))
    return bool(texts[0] != texts[1])


def swap(connection: Any, rng: random.Random) -> bool:
    """Two whole entries, digests and all, change places."""
    one, other = rng.sample(range(1, ENTRIES + 1), 2)
    for old, new in ((one, -1), (other, one), (-1, other)):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (new, old))
    return True


def delete(connection: Any, rng: random.Random) -> bool:
    """Some entries in the middle; those after them move up, or don't."""
    start, length = rng.randint(1, ENTRIES - 5), rng.randint(1, 3)
    connection.execute("DELETE FROM audit WHERE seq BETWEEN ? AND ?", (start, start + length - 1))
    if rng.random() < 0.5:
        for seq in range(start + length, ENTRIES + 1):
            connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (seq - length, seq))
    return True


def truncate(connection: Any, rng: random.Random) -> bool:
    """The last entries: what is left is a whole chain."""
    connection.execute("DELETE FROM audit WHERE seq > ?", (rng.randint(0, ENTRIES - 1),))
    return True


def invent(connection: Any, rng: random.Random) -> bool:
    """An entry more, at the end or between, with a digest of its own."""
    at = rng.randint(1, ENTRIES + 1)
    for seq in range(ENTRIES, at - 1, -1):
        connection.execute("UPDATE audit SET seq = ? WHERE seq = ?", (seq + 1, seq))
    row = (
        at,
        "2026-01-01T00:00:00.000Z",
        "user:eve",
        "user.role",
        "user:eve",
        "{}",
        f"{rng.getrandbits(256):064x}",
    )
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return True


ATTACK: tuple[Attack, ...] = (edit, exchange, swap, delete, truncate, invent)


def test_a_thousand_falsifications_are_all_found(app: App) -> None:
    """Each in the real file and rolled back again; what is looked at is what the database then holds."""
    key, head = app.home.keys.key("audit"), audit.read_head(app.home.path)
    connection = connect(app)
    connection.row_factory = sqlcipher3.Row
    rng, done = random.Random(20261123), Counter[str]()
    assert audit.verify(key, [dict(row) for row in rows(connection)], head).ok
    while done.total() < ATTACKS:
        attack = rng.choice(ATTACK)
        connection.execute("BEGIN IMMEDIATE")
        if attack(connection, rng):
            done[attack.__name__] += 1
            verdict = audit.verify(key, [dict(row) for row in rows(connection)], head)
            assert not verdict.ok, f"{attack.__name__}, after {done.total()}"
            assert verdict.why
        connection.execute("ROLLBACK")
    assert min(done.values()) > 100
    assert audit.verify(key, [dict(row) for row in rows(connection)], head).ok
    connection.close()


def rows(connection: Any) -> Any:
    return connection.execute("SELECT * FROM audit ORDER BY seq")


@pytest.mark.parametrize("attack", ATTACK, ids=lambda one: one.__name__)
def test_the_verb_finds_it_and_exports_nothing(app: App, attack: Attack) -> None:
    """Committed, and looked at as `falaj audit verify` does."""
    assert perform(app, Call("audit.verify", SYSTEM))["ok"]
    connection, rng = connect(app), random.Random(7)
    while not attack(connection, rng):
        pass
    connection.close()
    verdict = perform(app, Call("audit.verify", SYSTEM))
    assert not verdict["ok"]
    with pytest.raises(Exception, match="The audit chain is broken"):
        perform(app, Call("audit.export", SYSTEM))


def test_teeth_without_the_head_a_cut_tail_is_not_found(app: App) -> None:
    """Which is why it is kept outside the database."""
    key, head = app.home.keys.key("audit"), audit.read_head(app.home.path)
    connection = connect(app)
    connection.row_factory = sqlcipher3.Row
    for left in range(ENTRIES - 1, 0, -7):
        connection.execute("DELETE FROM audit WHERE seq > ?", (left,))
        kept = [dict(row) for row in rows(connection)]
        assert audit.verify(key, kept, (left, kept[-1]["digest"])).ok
        assert not audit.verify(key, kept, head).ok
    connection.close()


def test_teeth_with_the_key_a_chain_can_be_made_anew(app: App) -> None:
    """Nothing but the key stands against that: an edit whose digests are all worked out again is not seen."""
    key = app.home.keys.key("audit")
    made: list[dict[str, Any]] = []
    for row in app.home.registry.all("SELECT * FROM audit ORDER BY seq"):
        last = made[-1] if made else None
        made.append(
            audit.next_entry(key, last, "user:eve", row["action"], row["subject"], json.loads(row["detail"]))
        )
    assert audit.verify(key, made, (len(made), made[-1]["digest"])).ok
    assert not audit.verify(b"a guess", made, (len(made), made[-1]["digest"])).ok


@pytest.mark.parametrize(
    "content", ["", "x", "60", "60 x", "-1 x", "9999 " + "0" * 64, "60 " + "0" * 64, "\0\xff"]
)
def test_a_damaged_head_is_found(app: App, content: str) -> None:
    (app.home.path / HEAD_FILE).write_text(content)
    assert not perform(app, Call("audit.verify", SYSTEM))["ok"]
