"""The one sentence of the start page, as a table: what is so, and what it says and leads to."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin.advice import advise

READY = {"ready": True}
FINE = {"roles": {"inference": READY | {"lost": {}}, "admin": READY, "worker": READY}}
DOWN = {"roles": FINE["roles"] | {"worker": {"ready": False}}}
LOST = {"roles": FINE["roles"] | {"inference": READY | {"lost": {"churn": "no answer", "b": "x"}}}}
TABLE = [{"dataset": "customers"}]
TRAINED, LIVE = {"model": "churn", "live": None}, {"model": "churn", "live": 2}
FAILED = {"job": "7", "state": "failed", "error": {"error": "The table is empty."}}
DONE = {"job": "8", "state": "succeeded", "error": None}

CASES: list[tuple[str, tuple[Any, ...], str, str, str, str]] = [
    ("a part is down", (DOWN, TABLE, [LIVE], [FAILED]), "bad", "Not every part", "worker", "/checks"),
    (
        "down and lost",
        (
            {"roles": LOST["roles"] | DOWN["roles"] | {"inference": {"ready": False, "lost": {"a": "b"}}}},
            [],
            [],
            [],
        ),
        "bad",
        "Not every part",
        "inference, worker",
        "/checks",
    ),
    (
        "a model is lost",
        (LOST, TABLE, [LIVE], [FAILED]),
        "bad",
        "A model that should answer does not.",
        "b: x",
        "/deployments",
    ),
    (
        "the last job failed",
        (FINE, TABLE, [LIVE], [FAILED, DONE]),
        "warn",
        "the last job failed",
        "The table is empty.",
        "/jobs/7",
    ),
    (
        "it failed without a reason",
        (FINE, [], [], [FAILED | {"error": None}]),
        "warn",
        "the last job failed",
        "",
        "/jobs/7",
    ),
    ("an older job failed", (FINE, TABLE, [LIVE], [DONE, FAILED]), "good", "One model answers.", "", ""),
    (
        "nothing is here",
        (FINE, [], [], []),
        "good",
        "Nothing is here yet.",
        "Bring in a table",
        "/datasets#add",
    ),
    (
        "only a table",
        (FINE, TABLE, [], [DONE]),
        "good",
        "No model has been trained yet.",
        "learn it",
        "/train",
    ),
    (
        "only a model",
        (FINE, TABLE, [TRAINED], [DONE]),
        "good",
        "No model is in use yet.",
        "put it to use",
        "/models",
    ),
    (
        "a model without its table",
        (FINE, [], [TRAINED], []),
        "good",
        "No model is in use yet.",
        "",
        "/models",
    ),
    ("one answers", (FINE, TABLE, [LIVE, TRAINED], [DONE]), "good", "One model answers.", "", ""),
    ("two answer", (FINE, TABLE, [LIVE, LIVE], [DONE]), "good", "2 models answer.", "", ""),
    (
        "a job runs",
        (FINE, TABLE, [LIVE], [DONE | {"state": "running"}]),
        "good",
        "One model answers.",
        "",
        "",
    ),
    (
        "no program may ask",
        (FINE, TABLE, [LIVE], [], 0),
        "good",
        "One model answers.",
        "token",
        "/tokens#make",
    ),
    ("a program may ask", (FINE, TABLE, [LIVE], [], 1), "good", "One model answers.", "", ""),
    ("who can't make a token", (FINE, TABLE, [LIVE], [], None), "good", "One model answers.", "", ""),
]


@pytest.mark.parametrize(
    ("facts", "kind", "sentence", "more", "href"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_sentence(facts: tuple[Any, ...], kind: str, sentence: str, more: str, href: str) -> None:
    status, tables, *others = facts
    told = advise(status | {"datasets": len(tables)}, *others)
    assert told.kind == kind
    assert sentence in told.sentence
    assert more in told.more
    assert told.href == href
    assert bool(told.href) == bool(told.label), "a link has a label"
    assert told.sentence.startswith("All is well.") == (kind == "good")


def test_without_a_recovery_key_it_says_so_once_a_model_answers() -> None:
    found = advise(FINE | {"datasets": 1}, [LIVE], [], 1, recovery=False)
    assert (found.kind, found.href) == ("good", "/recovery")
    assert "no recovery key" in found.more
    for tokens, models in ((0, [LIVE]), (1, [TRAINED]), (1, [])):
        assert advise(FINE | {"datasets": 1}, models, [], tokens, recovery=False).href != "/recovery"
    assert not advise(FINE | {"datasets": 1}, [LIVE], [], 1, recovery=True).href


def test_trouble_with_the_machine_comes_before_all_but_a_part_that_is_down() -> None:
    told = [("The disk is full.", "Free some."), ("x", "y")]
    found = advise(LOST, [], [FAILED], 0, lambda verb: True, troubles=told)
    assert (found.kind, found.sentence, found.more) == ("bad", "The disk is full.", "Free some.")
    assert advise(DOWN, [], [FAILED], 0, lambda verb: True, told).sentence.startswith("Not every part")
