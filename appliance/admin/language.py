"""The words of the page, through gettext: English is in the code, the others are catalogues in web/locale."""

from __future__ import annotations

import gettext
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "web"
RIGHT_TO_LEFT = {"ar"}
LANGUAGE = "en"  # the only one so far

translations: gettext.NullTranslations = gettext.translation(
    "falaj", WEB / "locale", languages=[LANGUAGE], fallback=True
)


def _(message: str) -> str:
    """The message in the page's language."""
    return translations.gettext(message)


def N_(message: str) -> str:
    """Marks a message for the catalogue where it stands; `_` translates it where it is shown."""
    return message


def ngettext(one: str, many: str, count: int) -> str:
    return translations.ngettext(one, many, count)


def direction() -> str:
    return "rtl" if LANGUAGE in RIGHT_TO_LEFT else "ltr"
