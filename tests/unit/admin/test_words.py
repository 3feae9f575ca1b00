"""The list of the page's words, as translators get it, is complete and current."""

from __future__ import annotations

import ast

from appliance.admin.navigation import PAGES
from tests.conftest import ROOT
from web.words import CATALOGUE, words

KNOWN = words()
NAMED = {
    ("navigation.py", "label"),
    ("monitoring.py", "label"),
    ("words.py", "text"),
}  # marked, or put in by web/words.py


def test_the_catalogue_is_current() -> None:
    assert CATALOGUE.read_text() == KNOWN, "write it anew: .venv/bin/python -m web.words"


def test_it_has_what_stands_far_from_its_translation() -> None:
    """Labels in tables, words of macros, plurals, words of Python."""
    for label in (page[1] for page in PAGES):
        assert f'msgid "{label}"' in KNOWN
    for word in (
        "Actions",
        "Show only rows with",
        "refused by the quality gate",
        "One-time password",
        "Ranking quality",
    ):
        assert f'msgid "{word}"' in KNOWN
    assert 'msgid_plural "All is well. %(count)d models answer."' in KNOWN


def test_no_message_is_put_together_before_it_is_translated() -> None:
    """`_(f"...")` and `_(name)` would reach no translator, but for those marked elsewhere."""
    for path in (ROOT / "appliance" / "admin").glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in ("_", "ngettext")
            ):
                given = call.args[0]
                named = isinstance(given, ast.Name) and (path.name, given.id) in NAMED
                assert named or path.name == "language.py" or isinstance(given, ast.Constant), (
                    path.name,
                    call.lineno,
                )
