"""Columns that hold personal data, by their name and by what their values look like.

Nothing personal is stored by accident: a column found here must be dropped or confirmed by name.
Emirates ID numbers (784-YYYY-NNNNNNN-C) are checked with Luhn's digit (ISO/IEC 7812-1), IBANs with
the remainder 97 (ISO 13616), so that ordinary long numbers are not taken for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from appliance.data.options import ImportOptions
from appliance.errors import BadInput

EMAIL, PHONE, EMIRATES_ID, IBAN = "e-mail", "phone", "Emirates ID", "IBAN"

_MOSTLY, _SOME = 0.5, 0.05
_EMAIL = re.compile(r"[^@\s<>\"',;]+@[^@\s<>\"',;]+\.[^@\s<>\"',;.]{2,}")
_PHONE = re.compile(r"(\+|00)[1-9][\d\s().-]{6,18}\d|0[\s-]?(5\d|[234679])[\s-]?\d{3}[\s-]?\d{4}")
_LOOSE_PHONE = re.compile(r"\+?[\d\s().-]{6,20}")
_EMIRATES_ID = re.compile(r"784[- ]?(\d{4})[- ]?(\d{7})[- ]?(\d)")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_FEW_DIGITS, _MANY_DIGITS = 7, 15

_NAMES = {
    EMAIL: re.compile(r"\be ?mails?\b|\bmail( address)?\b|البريد|بريد"),
    PHONE: re.compile(r"\b(tele)?phones?\b|\bmobiles?\b|\bcell(ular)?\b|\bwhatsapp\b|\btel\b"
                      r"|\bmsisdn\b|هاتف|جوال|موبايل"),
    EMIRATES_ID: re.compile(r"\bemirates ?id\b|\beid\b|\bnational ?id\b|هوية"),
    IBAN: re.compile(r"\biban\b|آيبان|ايبان"),
}  # fmt: skip


def is_email(text: str) -> bool:
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Written as only a telephone number is: with +, 00 or a local leading zero."""
    return _PHONE.fullmatch(text) is not None


def is_emirates_id(text: str) -> bool:
    if _EMIRATES_ID.fullmatch(text) is None:
        return False
    total = 0
    for place, digit in enumerate(int(c) for c in reversed(re.sub(r"\D", "", text))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def is_iban(text: str) -> bool:
    compact = text.replace(" ", "").upper()
    if _IBAN.fullmatch(compact) is None:
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _may_be_phone(text: str) -> bool:
    digits = sum(char.isdigit() for char in text)
    return _FEW_DIGITS <= digits <= _MANY_DIGITS and _LOOSE_PHONE.fullmatch(text) is not None


# The share of values that must fit: without, and with, a telling column name.
_CHECKS: dict[str, tuple[Callable[[str], bool], float, Callable[[str], bool], float]] = {
    EMAIL: (is_email, _SOME, is_email, 0.0),
    EMIRATES_ID: (is_emirates_id, _SOME, lambda text: re.sub(r"\D", "", text).startswith("784"), 0.0),
    IBAN: (is_iban, _SOME, lambda text: _IBAN.fullmatch(text.replace(" ", "").upper()) is not None, 0.0),
    PHONE: (is_phone, _MOSTLY, _may_be_phone, _MOSTLY),
}


def personal_kind(name: str, sample: Sequence[str]) -> str:
    """ "e-mail", "phone", "Emirates ID" or "IBAN"; "" for a column that is none of them.

    A telling name lowers what its values must show, but never decides alone: a column "phone" of
    yes and no holds nothing personal.
    """
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = re.sub(r"[\W_]+", " ", words).lower()
    values = [value.strip() for value in sample if value.strip()]
    if not values:
        return ""
    for kind, (strict, share, loose, named_share) in _CHECKS.items():
        found = sum(map(strict, values))
        if found and found >= share * len(values):
            return kind
        if _NAMES[kind].search(words):
            likely = sum(map(loose, values))
            if likely and likely >= named_share * len(values):
                return kind
    return ""


def require_confirmed(found: Mapping[str, str], options: ImportOptions) -> None:
    """Raise BadInput naming every personal column that is neither dropped nor confirmed."""
    confirmed = options.confirm_personal
    open_questions = [name for name in found if name not in confirmed and "*" not in confirmed]
    if not open_questions:
        return
    shown = ", ".join(f"'{name}' ({found[name]})" for name in open_questions)
    one = open_questions[0]
    drops = " ".join(f"--drop '{name}'" for name in open_questions)
    keeps = " ".join(f"--confirm-personal '{name}'" for name in open_questions)
    what = "This column holds" if len(open_questions) == 1 else "These columns hold"
    raise BadInput(
        f"{what} personal data: {shown}.",
        f"Leave it out with {drops}, or keep it knowingly with {keeps}.",
        column=one,
    )
