"""`python -m web.words`: write web/locale/falaj.pot, all words of the admin page, for translators.

Without places and dates, so that it changes only when a word does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from babel.messages.frontend import CommandLineInterface

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "web" / "locale" / "falaj.pot"
_CHANGING = ('"POT-Creation-Date', '"Generated-By', "# ", "#\n")


def words() -> str:
    """The catalogue as it should be now."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "falaj.pot"
        told = ["--project=Falaj", "--copyright-holder=the Falaj authors", "--no-location", "--sort-output"]
        places = ["-k", "N_", "-F", str(ROOT / "web" / "babel.cfg"), "-o", str(made), str(ROOT)]
        CommandLineInterface().run(["pybabel", "--quiet", "extract", *told, *places])
        lines = made.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_CHANGING))


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_text(words())
