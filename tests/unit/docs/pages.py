"""Reading the documentation: its pages, their shell blocks, and every `falaj ...` that they mention."""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from appliance import home as homes
from appliance.app import open_app
from appliance.daemon.management import management
from appliance.doors.site import Site
from tests.conftest import ROOT

INDEX = ROOT / "docs" / "index.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is the number of its first line in the page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The README, the index and the pages that it names, in its order; then whatever else there is."""
    found = [ROOT / "README.md", INDEX]
    found += [page for page in linked(INDEX) if page not in found]
    others = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return found + sorted(page for page in others if page not in found)


def linked(page: Path) -> list[Path]:
    """The pages of ours that a page links to, in order."""
    return [(page.parent / target.partition("#")[0]).resolve() for target in links(page) if ".md" in target]


def links(page: Path) -> list[str]:
    """Every link target of a page, outside its fenced blocks."""
    return _LINK.findall(_BLOCK.sub("", page.read_text()))


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2])
        for match in _BLOCK.finditer(text)
    ]


def anchors(page: Path) -> set[str]:
    """What a link may name after '#': the headings, as GitHub and GitLab write them."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def mentions(page: Path) -> list[list[str]]:
    """Every `falaj ...` of a page, in words: in its blocks, its indented lines and its text."""
    text = page.read_text().replace("\\\n", " ")
    pieces = [
        line.strip() for line in text.splitlines() if line.startswith(("    ", "falaj ", "sudo falaj "))
    ]
    pieces += re.findall(r"\$\((falaj [^)|]+)", text)
    pieces += _INLINE.findall(_BLOCK.sub("", text))
    found = []
    for piece in pieces:
        piece = re.sub(r"^(sudo |[A-Z_]+=\S+ )+", "", piece)
        if re.match(r"falaj( |$)", piece):
            found.append(shlex.split(re.split(r" [|>] ", piece)[0], comments=True))
    return found


def site_of_a_new_home() -> Site:
    """The site of the admin port, to look at its routes."""
    folder = Path(tempfile.mkdtemp(prefix="falaj-site-"))
    homes.create(folder)
    return management(open_app(folder))
