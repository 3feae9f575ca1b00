"""Personal data is recognised by name and by value, and never kept without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.data.privacy import is_emirates_id, is_iban, personal_kind


def luhn_complete(digits: str) -> str:
    """The check digit for these digits, worked out the long way round."""
    return next(last for last in "0123456789" if _luhn(digits + last))


def _luhn(number: str) -> bool:
    total = 0
    for index, char in enumerate(reversed(number)):
        value = int(char) * (2 if index % 2 else 1)
        total += sum(int(digit) for digit in str(value))
    return total % 10 == 0


@given(st.integers(1900, 2026), st.integers(0, 9_999_999), st.sampled_from(["-", "", " "]))
def test_emirates_id_numbers_are_known_by_their_check_digit(year: int, number: int, mark: str) -> None:
    check = luhn_complete(f"784{year}{number:07}")
    assert is_emirates_id(mark.join(("784", str(year), f"{number:07}", check)))
    wrong = str((int(check) + 1) % 10)
    assert not is_emirates_id(mark.join(("784", str(year), f"{number:07}", wrong)))


@pytest.mark.parametrize(
    ("iban", "good"),
    [
        ("AE070331234567890123456", True),  # the example of the UAE in the IBAN registry
        ("GB82 WEST 1234 5698 7654 32", True),
        ("DE89370400440532013000", True),
        ("AE070331234567890123457", False),
        ("AE07", False),
        ("hello world", False),
    ],
)
def test_ibans(iban: str, good: bool) -> None:
    assert is_iban(iban) is good


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("contact", ["a@b.ae", "c.d@e.com"], "e-mail"),
        ("x", ["+971 50 123 4567", "+971-4-1234567"], "phone"),
        ("x", ["0501234567", "050 765 4321"], "phone"),
        ("Phone", ["971501234567", "971501234568"], "phone"),
        ("mobileNumber", ["501234567", "551234567"], "phone"),
        ("هاتف", ["501234567"], "phone"),
        ("eid", ["784198712345670", "784 broken"], "Emirates ID"),
        ("account", ["AE070331234567890123456"], "IBAN"),
        ("PhoneService", ["Yes", "No"], ""),
        ("telephone", ["A191", "A192"], ""),
        ("contact", ["telephone", "cellular"], ""),
        ("email_opt_in", ["yes", "no"], ""),
        ("price", ["1.5", "200"], ""),
        ("serial", ["7841987000", "1234567890"], ""),
        ("date", ["2024-01-31", "2024-02-01"], ""),
        ("fnlwgt", ["77516", "83311", "215646"], ""),
    ],
)
def test_what_is_personal(name: str, values: list[str], kind: str) -> None:
    assert personal_kind(name, values) == kind


def test_personal_columns_must_be_dropped_or_confirmed(
    load: Callable[..., Any], refused: Callable[..., Any]
) -> None:
    text = "id,mail,tel,n\n" + "".join(f"{i},u{i}@shop.ae,+9715012345{i},{i}\n" for i in range(10, 30))
    error = refused(text)
    assert error.message == "These columns hold personal data: 'mail' (e-mail), 'tel' (phone)."
    assert "--drop 'mail'" in error.hint
    assert "--confirm-personal 'tel'" in error.hint
    assert refused(text, drop=("mail",)).message == "This column holds personal data: 'tel' (phone)."
    assert load(text, drop=("mail", "tel")).frame.columns == ["id", "n"]
    kept = load(text, drop=("mail",), confirm_personal=("tel",))
    assert [column.personal for column in kept.table.columns] == ["", "phone", ""]
    assert "'tel' holds personal data (phone), kept as confirmed." in kept.notes
    assert len(load(text, confirm_personal=("*",)).table.columns) == 4


def test_typed_columns_are_looked_at_too(refused: Callable[..., Any]) -> None:
    number = "78419871234567" + luhn_complete("78419871234567")
    lines = "".join(f'{{"customer": {number}, "n": {i}}}\n' for i in range(3))
    assert "'customer' (Emirates ID)" in refused(lines, "t.jsonl").message
