"""Write debian/copyright (DEP-5) and gather the licence texts: licences.py SITE REPORT WEB DOC."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import parts

HOLDER = re.compile(r"^\W*((?:copyright|©|\(c\)).{0,12}\d{4}.*)$", re.IGNORECASE | re.MULTILINE)
HEAD = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: falaj
Comment: Made when the package was built, from the metadata of what is in it. The texts of all licences
 lie in /usr/share/doc/falaj/licences, in a folder for each part.

Files: *
Copyright: the Falaj developers
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
"""


def main() -> None:
    site, report, web, doc = map(Path, sys.argv[1:])
    stanzas = [HEAD]
    for one in parts.of_python(site, report):
        stanzas.append(stanza(one, f"usr/lib/falaj/venv/lib/{site.parent.name}/site-packages"))
        keep(one, doc, move=True)
    for one in parts.of_the_pages(web):
        stanzas.append(stanza(one, f"usr/lib/falaj/venv/lib/{site.parent.name}/site-packages"))
        keep(one, doc, move=False)
    (doc / "copyright").write_text("\n".join(stanzas))


def stanza(part: parts.Part, folder: str) -> str:
    """One paragraph of debian/copyright."""
    found = [
        line for text in part.texts.values() for line in HOLDER.findall(text.read_text(errors="replace"))
    ]
    holders = list(dict.fromkeys(" ".join(line.split())[:160] for line in found))[:8]
    holders = holders or [f"the authors of {part.name} {part.author}".strip()]
    licence = re.sub(r"\b(AND|OR|WITH)\b", lambda word: word[0].lower(), part.licence)
    where = f"/usr/share/doc/falaj/licences/{folder_name(part)}"
    told = (
        f"The text is in {where}."
        if part.texts
        else "Its wheel carries no text; the name is from its metadata."
    )
    return (
        f"Files: {(chr(10) + ' ').join(f'{folder}/{one}' for one in part.files)}\n"
        f"Copyright: {(chr(10) + ' ').join(holders)}\n"
        f"License: {licence}\n {told}\n"
        f"Comment: {part.name} {part.version}\n"
    )


def keep(part: parts.Part, doc: Path, *, move: bool) -> None:
    """The licence files of a part, under its name; modules don't need them beside themselves."""
    for name, text in part.texts.items():
        target = doc / "licences" / folder_name(part) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.read_bytes())
        target.chmod(0o644)
        if move:
            text.unlink()


def folder_name(part: parts.Part) -> str:
    return part.name.rpartition("/")[2]


if __name__ == "__main__":
    main()
