"""docs/capabilities.md: each capability has a command, a request, a page and a test, and nothing is left out.

A capability that exists in one place only fails here, unless its line says why it can't be anywhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from appliance.api.routes import ROUTES
from appliance.cli import main as falaj
from appliance.verbs import VERBS
from docs import generate
from tests.conftest import ROOT
from tests.unit.docs.pages import site_of_a_new_home

EXTRA = {  # requests that are in no table of routes, with the verb that they are for
    "POST /api/v1/datasets": "dataset.add",
    "GET /metrics": "metrics",
}


@dataclass(frozen=True)
class Line:
    """One row of the table. Cells that say `–` need a reason in the last one."""

    what: str
    verb: str
    command: str
    request: str
    page: str
    test: str
    why: str


def lines() -> list[Line]:
    text = (ROOT / "docs" / "capabilities.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `([a-z.]+)` \|(.*)\|$", text, re.MULTILINE)
    return [
        Line(what, verb, *(cell.strip().strip("`") for cell in rest.split("|"))) for what, verb, rest in rows
    ]


def test_every_verb_has_its_line() -> None:
    assert sorted(line.verb for line in lines()) == sorted(VERBS)


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.verb)
def test_it_is_there_at_every_door(line: Line) -> None:
    commands = {path for path, _ in generate.commands(falaj)}
    requests = {f"{one.method} /api/v1{generate.shown(one.path)}": one.verb for one in ROUTES} | EXTRA
    missing = [cell for cell in (line.command, line.request, line.page) if cell == "–"]
    assert not missing or len(line.why) > 10, f"{line.verb} is missing somewhere, without a reason"
    assert line.command == "–" or line.command in commands
    assert line.request == "–" or requests[line.request] == line.verb
    path, _, name = line.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), line.test


def test_every_page_that_it_names_exists() -> None:
    rules = {
        re.sub(r"<(?:\w+:)?(\w+)>", lambda name: name[1].upper(), rule.rule)
        for rule in SITE.url_map.iter_rules()
    }
    for line in lines():
        assert line.page == "–" or line.page in rules, line.page


SITE = site_of_a_new_home()
