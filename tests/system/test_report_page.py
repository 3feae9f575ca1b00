"""The report page in a real browser: self-contained, nothing overflows, hostile names stay text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.appliance import Appliance

HOSTILE = "<script>document.title='owned'</script>"
PROBE = "<script>document.title='width ' + document.documentElement.scrollWidth</script>"


@pytest.fixture(scope="module")
def page(appliance: Appliance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "hostile.csv"
    rows = "".join(
        f"{i % 97},{(i * 31) % 89},{'good' if i % 97 > 40 + i % 9 else 'bad'}\n" for i in range(600)
    )
    path.write_text(f'"{HOSTILE}",{"long " * 30}name,outcome\n{rows}')
    appliance.json("dataset", "add", "hostile", str(path))
    appliance.json("train", "hostile", "--dataset", "hostile", "--target", "outcome")
    appliance.json("model", "report", "hostile", "--out", str(folder / "report.html"))
    return folder / "report.html"


def browse(page: Path, width: int) -> tuple[str, str]:
    """The document as the browser has it, and what the browser complained about."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing; ./install.sh test installs it"
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-component-update", "--no-first-run", f"--user-data-dir={page.parent / 'profile'}"),
            *("--enable-logging=stderr", f"--window-size={width},900", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_a_hostile_name_is_text(page: Path) -> None:
    document, complaints = browse(page, 1200)
    assert "<title>owned" not in document
    assert "&lt;script&gt;" in document
    assert complaints == ""


def test_it_needs_nothing_from_outside(page: Path) -> None:
    content = page.read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", content)
    assert "<script" not in content
    assert "@import" not in content


@pytest.mark.parametrize("width", [500, 1200])
def test_nothing_is_wider_than_the_window(page: Path, width: int) -> None:
    """The page itself has no script; a copy with one line of script measures it."""
    measured = page.with_name(f"measured-{width}.html")
    measured.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    document, _ = browse(measured, width)
    title = re.search(r"<title>width (\d+)</title>", document)
    assert title is not None
    assert int(title[1]) <= width
