"""Tokens: only digests are stored, and every refusal says which and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.db import Store
from appliance.db.migrations import registry
from appliance.errors import BadInput, FalajError, Forbidden, NotFound, Unauthenticated
from appliance.registry import tokens
from appliance.security.tokens import TokenBook, create, is_well_formed


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "registry.db", b"k" * 32, b"a", create=True)
    made.migrate(registry)
    return made


def make(store: Store, models: list[str], expires: str | None = None) -> tuple[str, tokens.Token]:
    with store.write() as tx:
        return create(tx, models, expires, "till", "cli:me")


def test_a_token_opens_its_models_and_no_others(store: Store) -> None:
    text, token = make(store, ["churn"])
    book = TokenBook(tokens.every(store))
    assert book.authorise(text, "churn").id == token.id
    assert book.authorise(text, None).id == token.id
    with pytest.raises(Forbidden, match="not for the model 'other'"):
        book.authorise(text, "other")


def test_a_star_opens_all(store: Store) -> None:
    text, _ = make(store, ["*"])
    assert TokenBook(tokens.every(store)).authorise(text, "anything")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: None, "needs a token"),
        (lambda text: "", "needs a token"),
        (lambda text: text[:-1], "not a complete token"),
        (lambda text: text[:10] + "?" + text[11:], "not a complete token"),
        (lambda text: "bearer", "not a complete token"),
        (lambda text: "falaj_" + "é" * 38, "not a complete token"),
    ],
)
def test_a_wrong_token_is_told_what_is_wrong(store: Store, change: object, message: str) -> None:
    text, _ = make(store, ["*"])
    with pytest.raises(Unauthenticated, match=message):
        TokenBook(tokens.every(store)).authorise(change(text), "x")  # type: ignore[operator]


def test_a_token_of_another_appliance_is_unknown(store: Store) -> None:
    text, _ = make(store, ["*"])
    with pytest.raises(Unauthenticated, match="not known"):
        TokenBook([]).authorise(text, "x")


def test_expired_and_revoked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text, token = make(store, ["*"], "90d")
    book = TokenBook(tokens.every(store))
    assert book.authorise(text, "x")
    monkeypatch.setattr("appliance.clock.now", lambda: "2999-01-01T00:00:00.000Z")
    with pytest.raises(Unauthenticated, match="expired on"):
        book.authorise(text, "x")
    monkeypatch.undo()
    with store.write() as tx:
        tokens.revoke(tx, token.id)
    with pytest.raises(Unauthenticated, match="was revoked"):
        TokenBook(tokens.every(store)).authorise(text, "x")
    with pytest.raises(NotFound), store.write() as tx:
        tokens.revoke(tx, "nope")


def test_the_secret_is_stored_nowhere(store: Store) -> None:
    text, _ = make(store, ["*"])
    rows = store.all("SELECT * FROM tokens") + store.all("SELECT * FROM audit")
    secret = text.removeprefix("falaj_")
    assert not any(secret in str(value) or text in str(value) for row in rows for value in row.values())
    assert re.fullmatch(r"falaj_[0-9A-Za-z]{38}", text)
    assert is_well_formed(text)


@pytest.mark.parametrize("span", ["", "d", "90", "x5d", "-1d", "0d", "1y", "9999999d", "٣d"])
def test_a_bad_span_is_refused(store: Store, span: str) -> None:
    with pytest.raises(BadInput, match="'expires'"):
        make(store, ["*"], span)
    assert tokens.every(store) == []


def test_errors_never_repeat_the_secret(store: Store) -> None:
    text, _ = make(store, ["a"])
    for model in ("b",):
        with pytest.raises(FalajError) as told:
            TokenBook(tokens.every(store)).authorise(text, model)
        assert text not in told.value.message + told.value.hint
