"""A person with a browser: real Chromium, driven by mouse, finger and keyboard, that puts up with nothing.

Whatever the page says to its console, a refused policy, a request to anywhere else or a page that is wider
than the window fails the test. Scripts only look: they go in by the debugger, as the page's
policy allows none.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import CDPSession, ConsoleMessage, Locator, Page, Response, sync_playwright

from tests.conftest import ROOT

PICTURES = ROOT / "docs" / "pictures"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LONGEST = 2000  # of a picture: what is below says nothing new
DESKTOP, PHONE = (1280, 900), (390, 844)
# Chromium itself tells what the server refused; a page that is meant to be refused says so with `refusal`.
RESOURCE = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
WATCH_POLICY = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Debian's Chromium. Where it is missing this fails: these tests are what the page stands on."""
    path = shutil.which("chromium")
    assert path, "chromium is missing; ./install.sh test installs it"
    assert AXE.is_file(), "axe-core is missing; ./install.sh test fetches it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def visitor(started: Chromium, home: str, folder: Path, phone: bool = False) -> Iterator[Visitor]:
    """One person's browser with cookies of its own, and at the end the account of what went wrong."""
    width, height = PHONE if phone else DESKTOP
    context = started.new_context(
        viewport={"width": width, "height": height},
        has_touch=phone,
        is_mobile=phone,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Asia/Muscat",
        accept_downloads=True,
    )
    context.set_default_timeout(20_000)
    context.add_init_script(WATCH_POLICY)
    made = Visitor(context.new_page(), home, folder, phone)
    try:
        yield made
        made.assert_nothing_went_wrong()
    finally:
        context.close()


@dataclass
class Visitor:
    """What a person does: look, click, type. `phone` taps, and folds the navigation out first."""

    page: Page
    home: str
    folder: Path
    phone: bool = False
    wrong: list[str] = field(default_factory=list)
    loads: int = 0
    _refusals: set[int] = field(default_factory=set)
    _debugger: CDPSession | None = None

    def __post_init__(self) -> None:
        self.watch(self.page)

    def watch(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("response", self._came)
        page.on("request", lambda request: self._asked(request.url))
        page.on("load", lambda _: self._loaded())
        self._debugger = page.context.new_cdp_session(page)

    def _loaded(self) -> None:
        self.loads += 1

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        told = RESOURCE.search(message.text)
        if not (told and int(told[1]) in self._refusals):
            self.wrong.append(f"console {message.type}: {message.text} ({self.page.url})")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and not url.startswith(self.home):
            self.wrong.append(f"a request to {url}")

    def _came(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._refusals:
            self.wrong.append(f"{response.status} for {response.request.method} {response.url}")

    @contextmanager
    def refusal(self, *statuses: int) -> Iterator[None]:
        """Within, the server is meant to answer so."""
        self._refusals = set(statuses)
        yield
        self.page.wait_for_timeout(50)
        self._refusals = set()

    def assert_nothing_went_wrong(self) -> None:
        assert not self.wrong, "\n".join(self.wrong)

    # Looking

    def look(self, script: str) -> Any:
        """What an expression gives, by the debugger: it changes nothing."""
        assert self._debugger is not None
        got = self._debugger.send(
            "Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True}
        )
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def wait(self, true: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while not (got := true()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.text()[:2000]}"
            self.page.wait_for_timeout(50)
        return got

    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def sees(self, words: str, seconds: float = 20) -> None:
        """These words stand on the page, or will."""
        self.page.get_by_text(words).locator("visible=true").first.wait_for(timeout=1000 * seconds)

    def heading(self) -> str:
        return self.page.get_by_role("heading", level=1).first.inner_text()

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def nothing_sticks_out(self) -> None:
        wide, room = self.look("[document.scrollingElement.scrollWidth, innerWidth]")
        if wide > room:
            culprits = self.look(STICKS_OUT)
            raise AssertionError(f"{self.page.url} is {wide} wide in {room}: {culprits}")

    def drawn(self) -> None:
        """Every chart that has room has been drawn."""
        todo = (
            "[...document.querySelectorAll('figure.chart')].filter(f => f.querySelector('.plot').clientWidth)"
            ".filter(f => f.dataset.drawn !== 'yes').length"
        )
        self.wait(lambda: self.look(todo) == 0, "charts are drawn")

    def violations(self) -> list[str]:
        """What axe-core finds, one line a rule."""
        if not self.look("typeof axe === 'object'"):
            self.look(AXE.read_text() + "; 0")
        options = json.dumps({"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
        found = self.look(f"axe.run(document, {options}).then(found => found.violations)")
        return [
            f"{one['id']}: {one['help']}: " + "; ".join(node["html"][:200] for node in one["nodes"][:3])
            for one in found
        ]

    def see(self, name: str) -> None:
        """Look at the page in light and dark: drawn, within the window, for everybody; take its picture."""
        self.drawn()
        self.nothing_sticks_out()
        self.look("scrollTo(0, 0)")  # pictures begin at the top
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            self.page.wait_for_timeout(120)
            self.drawn()
            found = self.violations()
            assert not found, f"{name}, {theme}, {self.page.url}:\n" + "\n".join(found)
            self.picture(f"{name}-{theme}{'-phone' if self.phone else ''}")
        self.page.emulate_media(color_scheme="light")
        self.assert_nothing_went_wrong()

    def picture(self, name: str) -> None:
        """Into docs/pictures when FALAJ_PICTURES=1, else into the test's own folder."""
        folder = PICTURES if os.environ.get("FALAJ_PICTURES") == "1" else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        assert self._debugger is not None
        wanted = {"format": "webp", "quality": 70, "captureBeyondViewport": True}
        size = self._debugger.send("Page.getLayoutMetrics")["cssContentSize"]
        height = min(size["height"], LONGEST)
        wanted["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
        taken = self._debugger.send("Page.captureScreenshot", wanted)
        (folder / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))

    # Doing

    def press(self, target: Locator) -> None:
        """A click, or on the phone a tap."""
        target.scroll_into_view_if_needed()
        target.tap() if self.phone else target.click()

    def button(self, name: str, within: Locator | None = None) -> None:
        self.press(
            (within or self.page).get_by_role("button", name=name, exact=True).locator("visible=true").first
        )

    def link(self, name: str) -> None:
        """A link of the page itself; some look like buttons, and are called so."""
        main = self.page.get_by_role("main")
        found = main.get_by_role("link", name=name, exact=True).or_(
            main.get_by_role("button", name=name, exact=True)
        )
        self.press(found.locator("visible=true").first)

    def go(self, name: str) -> None:
        """By the navigation to another page."""
        if self.phone:
            self.press(self.page.locator("details.menu > summary"))
        entry = self.page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True)
        loads = self.loads
        self.press(entry.locator("visible=true"))
        self.wait(lambda: self.loads > loads, f"the page '{name}'")

    def label(self, label: str, within: Locator | None = None) -> Locator:
        """The visible label that begins so; pressing it puts the cursor into its field."""
        return (within or self.page).locator("label", has_text=re.compile(rf"^\s*{re.escape(label)}")).first

    def type(self, label: str, text: str) -> None:
        """Into a field, in place of what is there."""
        self.press(self.label(label))
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.press("Delete")
        self.page.keyboard.type(text)

    def choose(self, label: str, option: str) -> None:
        """From a closed list, by typing the beginning of the choice."""
        self.press(self.label(label))
        self.page.keyboard.type(option)
        chosen = self.look("document.activeElement.selectedOptions?.[0]?.text")
        assert chosen is not None, f"'{label}' is no list"
        assert chosen.startswith(option), f"'{label}' is at '{chosen}', not at '{option}'"

    def hand_over(self, label: str, path: Path) -> None:
        """A file, through the window that the browser opens."""
        with self.page.expect_file_chooser() as window:
            self.press(self.page.get_by_label(label, exact=True))
        window.value.set_files(path)

    def focused(self) -> str:
        """What has the focus, in words: its name, else its text."""
        return str(self.look(FOCUSED))


FOCUSED = """(() => { const on = document.activeElement;
  const label = on.labels?.[0]?.innerText ?? on.getAttribute("aria-label") ?? "";
  return (label || on.innerText || on.value || on.tagName).trim().split("\\n")[0]; })()"""
STICKS_OUT = """[...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 6).map(e => e.outerHTML.slice(0, 120))"""
