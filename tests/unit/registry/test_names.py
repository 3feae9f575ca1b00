"""Names that would break a URL, a folder or the protocol are refused, once, for all doors."""

from __future__ import annotations

import pytest

from appliance.errors import BadInput
from appliance.registry.names import check_name, parse_reference


@pytest.mark.parametrize("name", ["churn", "a", "A-1_b.c", "9", "x" * 100])
def test_good_names(name: str) -> None:
    assert check_name(name, "model") == name
    assert parse_reference(f"{name}:12", "model") == (name, 12)
    assert parse_reference(name, "model") == (name, None)


@pytest.mark.parametrize(
    "name", ["", "a/b", "../x", ".hidden", "-x", "a b", "ü", "x" * 101, "stats", "a\n", "<b>", "a:b", "x\0"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(BadInput) as told:
        parse_reference(name, "model")
    assert told.value.hint


@pytest.mark.parametrize("version", ["", "0", "x", "-1", "1.5", "9" * 20, "²"])
def test_bad_versions(version: str) -> None:
    with pytest.raises(BadInput):
        parse_reference(f"churn:{version}", "model")
