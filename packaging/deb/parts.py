"""What the package is made of: each wheel and each front-end package, with version, licence and digest.

All of it comes from the wheels' own metadata, pip's report of which files it took, and web/package-lock.json.
A part whose licence can't be told, or may not be shipped, ends the build.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

# How older metadata writes what SPDX has a name for.
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License v2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Public Domain": "public-domain",
}
# What tells a licence by its text, where the metadata names none.
TEXTS = {
    "Permission is hereby granted, free of charge, to any person": "MIT",
    "This software is provided 'as-is', without any express or implied warranty": "Zlib",
}
# Strong copyleft and "source available" can't be shipped with the rest; an exception to the GPL (WITH) can.
REFUSED = re.compile(
    r"\b(AGPL|GPL|SSPL|BUSL|BSL-1\.1|Elastic|Commons-Clause|CC-BY-NC)(?!\S* WITH)|(?<!Lesser )General Public"
)
LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice|copyright|authors", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    name: str
    version: str
    kind: str  # pypi or npm
    licence: str  # SPDX, as far as it can be told
    algorithm: str  # of the digest: SHA-256 or SHA-512
    digest: str  # of the file that was taken from the registry
    files: list[str]  # below the folder of modules, or of pages
    texts: dict[str, Path]  # licence files: the name they are kept under, where they lie
    author: str


def of_python(site: Path, report: Path) -> list[Part]:
    """The distributions that lie in `site`, in the order of their names."""
    taken = {
        _plain(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"]
        for one in json.loads(report.read_text())["install"]
    }
    parts = []
    for found in sorted(distributions(path=[str(site)]), key=lambda one: _plain(one.name)):
        texts = _texts(found, site)
        parts.append(
            Part(
                _plain(found.name),
                found.version,
                "pypi",
                _licence(found, texts),
                "SHA-256",
                taken[_plain(found.name)],
                _files(found, site),
                texts,
                found.metadata.get("Author-email") or found.metadata.get("Author") or "",
            )
        )
    return parts


def of_the_pages(web: Path) -> list[Part]:
    """The front-end packages that are built into the admin page."""
    parts = []
    locked = json.loads((web / "package-lock.json").read_text())["packages"]
    for path, one in sorted(locked.items()):
        if not path or one.get("dev"):
            continue
        name = path.removeprefix("node_modules/")
        algorithm, _, digest = one["integrity"].partition("-")
        assert algorithm == "sha512", f"{name}: {algorithm}"
        short = name.rpartition("/")[2].partition(".")[0]
        texts = {text.name: text for text in sorted((web / "static/vendor/licences").glob(f"{short}*.txt"))}
        if not texts:
            raise SystemExit(f"web/static/vendor/licences has no text for {name}.")
        parts.append(
            Part(
                name,
                one["version"],
                "npm",
                _may_ship(name, one["license"]),
                "SHA-512",
                base64.b64decode(digest).hex(),
                [f"web/static/vendor/{short}*"],
                texts,
                "",
            )
        )
    return parts


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(found: Distribution, texts: dict[str, Path]) -> str:
    said = found.metadata
    told = [said.get("License-Expression") or "", said.get("License") or ""]
    told += [one.rpartition(" :: ")[2] for one in said.get_all("Classifier", []) if one.startswith("License")]
    text = " ".join(" ".join(path.read_text(errors="replace") for path in texts.values()).split())
    told += [name for start, name in TEXTS.items() if start in text]
    for one in told:
        if one and "\n" not in one and len(one) < 80 and one != "OSI Approved":
            return _may_ship(found.name, SPDX.get(one, one))
    raise SystemExit(f"The licence of {found.name} can't be told from its metadata.")


def _may_ship(name: str, licence: str) -> str:
    if REFUSED.search(licence):
        raise SystemExit(f"{name} has the licence {licence}, which the package can't ship.")
    return licence


def _texts(found: Distribution, site: Path) -> dict[str, Path]:
    texts = {}
    for file in found.files or []:
        path = site / file
        if LICENCE_FILE.search(path.name) and path.suffix not in _CODE and path.is_file():
            below = [one for one in file.parts if one != "licenses" and not one.endswith(".dist-info")]
            texts["-".join(below)] = path
    return texts


_CODE = (".py", ".pyc", ".so", ".json", ".js", ".css", ".html")


def _files(found: Distribution, site: Path) -> list[str]:
    """The folders and modules of a distribution; one level deeper where several share a folder."""
    files = set()
    for file in found.files or []:
        if file.parts[0] != ".." and (site / file).exists():
            shared = len(file.parts) > 1 and not (site / file.parts[0] / "__init__.py").exists()
            files.add(
                "/".join(file.parts[: 1 + (shared and not file.parts[0].endswith((".dist-info", ".libs")))])
            )
    return sorted(f"{one}/*" if (site / one).is_dir() else one for one in files)
