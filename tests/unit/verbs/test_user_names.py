"""Names to sign in with: any script, but none that looks like another because a sign in it can't be seen."""

from __future__ import annotations

import pytest

from appliance.errors import BadInput
from appliance.verbs.people import check_user_name

GOOD = [
    "mona",
    "Mona Haddad",
    "o'neill",
    "m.haddad@example.com",
    "منى",
    "王小明",
    "Žofie",
    "x",
    "नेहा",
    "a" * 60,
]
UNSEEN = {
    "zero width space": "mo\u200bna",
    "zero width joiner": "mo\u200dna",
    "right-to-left override": "mona\u202e",
    "isolate": "\u2066mona",
    "soft hyphen": "mo\u00adna",
    "line separator": "mo\u2028na",
    "paragraph separator": "mo\u2029na",
    "combining grapheme joiner": "mo\u034fna",
    "variation selector": "mona\ufe0f",
    "another variation selector": "mona\U000e0100",
    "Hangul filler": "mona\u3164",
    "half-width Hangul filler": "mona\uffa0",
    "Mongolian separator": "mona\u180e",
    "tag": "mona\U000e0061",
    "byte order mark": "\ufeffmona",
    "NUL": "mona\0",
    "line end": "mo\nna",
    "tab": "mo\tna",
    "two spaces": "mo  na",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_name_of_any_script_is_taken(name: str) -> None:
    assert check_user_name(f" {name} ") == name


@pytest.mark.parametrize("what", UNSEEN)
def test_one_with_a_sign_that_is_not_seen_is_refused(what: str) -> None:
    with pytest.raises(BadInput, match="name of a user can't be"):
        check_user_name(UNSEEN[what])


@pytest.mark.parametrize("name", ["", " ", "a" * 61, "😀", "a+b", "<b>", "a|b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        check_user_name(name)


def test_another_spelling_is_the_same_name() -> None:
    assert check_user_name("ｍｏｎａ") == "mona"
    assert check_user_name("mona\u00a0haddad") == "mona haddad"
