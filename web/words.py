"""`python -m web.words`: write web/locale/falaj.pot, all words of the admin page, for translators.

Without places and dates, so that it changes only when a word does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po, write_po

from appliance.config import settings
from appliance.validation.words import METRICS, RULES, VERDICTS
from appliance.verbs import troubles

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
        with made.open("rb") as file:
            catalogue = read_po(file)
    for text in _of_the_core():
        catalogue.add(text).flags.discard("python-format")  # "50 % is ..." is no format
    written = BytesIO()
    write_po(written, catalogue, sort_output=True)
    lines = written.getvalue().decode().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_CHANGING))


def _of_the_core() -> Iterator[str]:
    """Fixed sentences of the core that the page shows: the core itself knows nothing of languages."""
    for word in METRICS.values():
        yield from (word.plain, word.reading)
    yield from (*RULES.values(), *VERDICTS.values())
    yield from (help for *_, help in settings())
    for pair in troubles.WORDS:
        yield from pair


if __name__ == "__main__":
    CATALOGUE.parent.mkdir(exist_ok=True)
    CATALOGUE.write_text(words())
