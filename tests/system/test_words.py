"""Every word of the page can be translated, and a right-to-left language turns the page around.

A real home is served once more, in this process, with a language in which each message stands in brackets.
What stands outside them must be data: names, figures, and what the core says (errors, reasons, records).
"""

from __future__ import annotations

import gettext
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from appliance.admin import language
from appliance.admin.navigation import PAGES
from appliance.app import open_app
from appliance.daemon.management import management
from tests.system import tables
from tests.system.appliance import Appliance, free_port
from tests.system.browser import chromium, visitor
from tests.system.processes import until
from tests.system.test_browser import CODE, PASSWORD

OPEN, CLOSE = "⟦", "⟧"
# Elements that hold data or what a program reads: names, moments, code; never a sentence of the page.
DATA = {"bdi", "time", "code", "pre", "script", "style"}
ATTRIBUTES = {"title", "alt", "placeholder", "aria-label", "data-lost", "data-announce"}
# Words outside brackets that are data all the same: the product, names in this test, technical names.
SPOKEN = {
    *("Falaj", "Maryam", "customers", "leaving", "empty", "csv"),
    *("TLS", "Windows", "Android", "iPhone", "iPad", "Linux"),
    *("openvino", "onnxruntime", "linear", "SHA-256", "AUC", "falaj", "doctor", "XXXXX-XXXXX", "µs", "churn"),
}
TERM = re.compile(
    r"--[a-z-]+|\b[a-z]+\.[a-z]+\b|/api/v1|\d[\d.]*e-?\d+"
)  # options of commands, deeds in the records
COLUMNS: set[str] = set()  # of the table: titles of its charts


class Brackets(gettext.NullTranslations):
    """A language in which every message is itself between brackets."""

    def gettext(self, message: str) -> str:
        return f"{OPEN}{message}{CLOSE}"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


class Reader(HTMLParser):
    """Collects the words of a page that stand outside brackets and outside elements of data."""

    EMPTY = {"meta", "link", "input", "br", "hr", "img", "path"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.bare: list[str] = []
        self.depth = 0
        self.option = ""  # the value of the choice: where the text is the same, it is data
        self.feed(page)
        assert self.depth == 0, "brackets are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.stack.append(tag if dict(attrs).get("translate") != "no" else "translate=no")
        self.option = dict(attrs).get("value") or "" if tag == "option" else ""
        for name, value in attrs:
            if name in ATTRIBUTES and value and not (name == "title" and tag == "bdi"):
                self.outside(value, f"{tag} {name}")
            if name == "data-words":
                for word in json.loads(value or "{}").values():
                    self.outside(word, name)
            if name == "data-values":
                self.chart(json.loads(value or "{}"))

    def chart(self, data: dict[str, object]) -> None:
        """Titles of axes and names of curves; what the bars are called is data."""
        for axis in ("x", "y", "xtitle", "ytitle"):
            told = data.get(axis)
            told = told.get("title") if isinstance(told, dict) else told
            if isinstance(told, str):
                self.outside(told, f"chart {axis}")

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop() not in (tag, "translate=no"):
            pass

    def handle_data(self, data: str) -> None:
        if not (DATA | {"translate=no"}) & set(self.stack) and data.strip() != self.option:
            self.outside(data, "/".join(self.stack[-3:]))
        else:
            self.depth += data.count(OPEN) - data.count(CLOSE)

    def outside(self, text: str, where: str) -> None:
        """A message may go over several elements (a name in its midst): the depth is kept between texts."""
        bare = ""
        for piece in re.split(f"([{OPEN}{CLOSE}])", text):
            if piece in (OPEN, CLOSE):
                self.depth += 1 if piece == OPEN else -1
            elif self.depth == 0:
                bare += piece
        plain = "" if bare.strip() in COLUMNS else TERM.sub("", bare)
        words = [word for word in re.findall(r"[^\W\d_][\w'-]*", plain) if word not in SPOKEN]
        if words:
            self.bare.append(f"{where}: {bare.strip()[:160]}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """A table, two versions of a model, one in use, a refused job, a token and a user."""
    folder = tmp_path_factory.mktemp("words")
    made = Appliance(folder / "home").start()
    table = tables.churn(folder)
    COLUMNS.update(table.read_text().split("\n", 1)[0].split(","))
    made.json("dataset", "add", "customers", str(table))
    for _ in range(2):
        made.json("train", "leaving", "--dataset", "customers", "--target", "Churn", "--algorithm", "linear")
        made.json("deploy", "leaving")
    (folder / "empty.csv").write_text("")
    made.refused("dataset", "add", "empty", str(folder / "empty.csv"))
    change(made, made.token("leaving"))
    yield made
    made.stop()


def change(made: Appliance, token: str) -> None:
    """Programs ask something else than in training: an alert, and kept predictions."""
    row = {"tenure": 1, "Contract": "Month-to-month", "MonthlyCharges": 119.5}
    for _ in range(2):
        assert made.ask("/predict/leaving", {"rows": [row] * 300}, token).status == 200
    made.ask("/predict/nothing", {"rows": [row]}, token)
    until(lambda: made.json("alert", "ls"), 30)


class Quiet(WSGIRequestHandler):
    """Tells nothing of each request."""

    protocol_version = "HTTP/1.1"

    def log(self, *given: object) -> None:
        pass


@contextmanager
def served(home: Appliance, monkeypatch: pytest.MonkeyPatch, code: str = "en") -> Iterator[httpx.Client]:
    """The same home's page in another language, on a port of its own, and a browser of nobody's yet."""
    monkeypatch.setattr(language, "translations", Brackets())
    monkeypatch.setattr(language, "LANGUAGE", code)
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    server = make_server(
        "127.0.0.1", port, management(open_app(home.home)), threaded=True, request_handler=Quiet
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    told = {"Accept": "text/html", "Origin": url}
    try:
        with httpx.Client(base_url=url, headers=told, follow_redirects=True, timeout=30) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(client: httpx.Client, path: str, **form: str | list[str]) -> httpx.Response:
    """A form of the page, with the token that the page gave."""
    token = re.search(r'name="csrf" content="([^"]*)"', client.get("/account").text)
    assert token is not None
    return client.post(path, data=form | {"csrf": token[1]})


def enter(client: httpx.Client, home: Appliance) -> list[httpx.Response]:
    """Maryam is set up, or signs in; the pages on the way."""
    code = CODE.search(home.log())
    assert code is not None
    seen = [client.get("/"), client.get("/setup")]
    person = {"name": "Maryam", "password": PASSWORD, "again": PASSWORD}
    seen.append(send(client, "/setup", code="wrong", **person))
    came = send(client, "/setup", code=code[1], **person)
    if came.status_code == 409:
        came = send(client, "/sign-in", name="Maryam", password=PASSWORD)
    assert came.status_code == 200, came.text
    return [*seen, came]


def kept(home: Appliance) -> str:
    """The page of the newest kept prediction."""
    newest = home.json("prediction", "ls", "leaving", "--limit", "1")[0]["request_id"]
    return f"/monitoring/leaving/predictions/{newest}"


def pages(client: httpx.Client, home: Appliance) -> Iterator[httpx.Response]:
    """Every page, and every answer of a form that is not a page of its own."""
    yield from enter(client, home)
    jobs = [job["job"] for job in home.json("job", "ls")]
    for path in (
        *(href for href, _label, _icon, _verb in PAGES),
        *("/datasets/customers:1", "/train?dataset=customers:1", "/models/leaving:1", "/models/leaving:2"),
        *("/models/leaving/try", "/deployments/leaving", "/nowhere", "/datasets?choices=1"),
        *("/monitoring/leaving", "/monitoring?hours=1", kept(home)),
        *(f"/jobs/{job}" for job in jobs),
        *("/now", f"/jobs/{jobs[0]}/now"),
    ):
        yield client.get(path)
    yield send(client, "/train", dataset="customers:1", model="Bad Name", target="3")
    yield send(client, "/train", dataset="customers:1", model="x", target="")
    yield send(client, "/models/leaving/try", c1="two", c2="two", c3="2", c4="3")
    yield send(client, "/models/leaving/try")
    yield send(client, "/deployments/leaving/rollback", to="1")
    yield send(client, "/deployments/leaving/rollback", to="77")
    yield send(client, "/tokens", name="customers", models=["leaving"])
    yield send(client, "/users", name="Maryam", role="viewer")
    yield send(client, "/users", name="customers", role="viewer")
    yield send(client, "/users/role", user="customers", role="operator")
    yield send(client, "/account/password", old="x", new="y", again="z")
    yield send(client, "/audit/verify")
    alert = str(home.json("alert", "ls", "--all")[0]["id"])
    yield send(client, f"/alerts/{alert}/acknowledge")
    yield client.get("/now")
    yield send(client, f"/alerts/{alert}/resolve")
    yield send(client, "/deployments/leaving/stop")
    yield client.get("/monitoring/leaving")
    yield client.get("/")
    yield client.get("/deployments")
    yield send(client, "/sign-out")
    yield send(client, "/sign-in", name="Maryam", password="wrong")


def test_every_word_can_be_translated(home: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    bare: dict[str, str] = {}
    seen = 0
    with served(home, monkeypatch) as client:
        for answer in pages(client, home):
            assert answer.status_code < 500, answer.url
            assert answer.headers["Content-Type"].startswith("text/html"), answer.url
            assert OPEN in answer.text, answer.url
            seen += 1
            for found in Reader(answer.text).bare:
                bare.setdefault(found, str(answer.url.path))
    assert seen > 40
    assert not bare, "\n".join(f"{where}: {found}" for found, where in bare.items())


def test_a_right_to_left_language_turns_the_page_around(
    home: Appliance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home.json("deploy", "leaving")  # the other test may have stopped it
    with served(home, monkeypatch, code="ar") as client, chromium() as started:
        enter(client, home)
        with visitor(started, str(client.base_url), tmp_path, phone=True) as one:
            one.page.goto(f"{client.base_url}/sign-in")
            one.type(f"{OPEN}Your name", "Maryam")
            one.type(f"{OPEN}Password", PASSWORD)
            one.button(f"{OPEN}Sign in{CLOSE}")
            one.page.wait_for_url(re.compile(r"/$"))
            for path in (
                *(href for href, _label, _icon, _verb in PAGES),
                *("/datasets/customers:1", "/train?dataset=customers:1", "/models/leaving:2"),
                *("/models/leaving/try", "/deployments/leaving", "/monitoring/leaving", kept(home)),
            ):
                one.page.goto(f"{client.base_url}{path}")
                one.drawn()
                assert one.look("[document.documentElement.dir, document.documentElement.lang]") == [
                    "rtl",
                    "ar",
                ]
                assert one.look("getComputedStyle(document.querySelector('h1')).direction") == "rtl"
                one.nothing_sticks_out()
                assert not one.violations(), path


def test_trouble_is_told_in_the_language_of_the_page(
    home: Appliance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A disk with less room than is asked for: on every page, in words that can be translated."""
    monkeypatch.setitem(home.settings, "FALAJ_DATA_MIN_FREE_MB", "1000000")
    with served(home, monkeypatch, code="ar") as client, chromium() as started:
        enter(client, home)
        for path in ("/", "/now", "/models"):
            text = client.get(path).text
            assert f"{OPEN}The disk is almost full" in text
            assert not Reader(text).bare, path
        with visitor(started, str(client.base_url), tmp_path, phone=True) as one:
            one.page.goto(f"{client.base_url}/sign-in")
            one.type(f"{OPEN}Your name", "Maryam")
            one.type(f"{OPEN}Password", PASSWORD)
            one.button(f"{OPEN}Sign in{CLOSE}")
            one.page.wait_for_url(re.compile(r"/$"))
            for path in ("/", "/models"):
                one.page.goto(f"{client.base_url}{path}")
                one.sees("The disk is almost full")
                one.see(f"trouble-arabic{path.replace('/', '-')}")
