"""Names that try to be more than names: shown as text everywhere, given back as they were, never a 500."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from tests.system import processes
from tests.system.appliance import Appliance

MARK = "hstl"  # in every hostile string, so that it is found wherever it comes out
NAMES = {
    "script": f"<script>alert('{MARK}')</script>",
    "image": f'"><img src=x onerror={MARK}(1)>',
    "attribute": f"' onmouseover={MARK}() x='",
    "template": "{{7*7}}{% raw %}${7*7}" + MARK,
    "right to left": f"\u202e{MARK}\u202c\u200f",
    "emoji": f"🏴‍☠️{MARK}👩‍👩‍👧",
    "quotes": f"'\"`{MARK}\\'\\\"; DROP TABLE users; --",
    "Arabic": f"سجل {MARK}",
    "formula": f"=cmd|' /C {MARK}'!A0",
    "path": f"../../{MARK}/%2e%2e/etc",
    "address": f"javascript:{MARK}(1)",
    "end of a tag": f"</textarea></select></title><b id={MARK}>",
    "entity": f"&lt;{MARK}&gt;&amp;&#60;",
    "long": MARK + "x" * 10_000,
}
REFUSED_OR_NOT = {
    **NAMES,
    "NUL": f"a\0{MARK}",
    "line": f"a\r\nX-{MARK}: 1",
    "half": f"\ud800{MARK}",
    "blank": f" {MARK} ",
}
VOID = {"script", "style", "img", "b", "iframe", "object", "embed", "base"}


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and not str(given.get("src", "")).startswith("/assets/"):
            self.wrong.append(f"a script of {given}")
        if tag in VOID - {"script", "b"} and MARK in str(given):
            self.wrong.append(f"a {tag} of {given}")
        for name, value in attrs:
            if MARK in name or name.startswith("on") or MARK in tag:
                self.wrong.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "hx-get") and not str(value).startswith(
                ("/", "#", "?", "data:")
            ):
                self.wrong.append(f"<{tag} {name}={value}>")
            if name == "id" and value == MARK:
                self.wrong.append(f"<{tag} id={value}>")

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Place:
    """An appliance with a table and a model whose columns have such names."""

    appliance: Appliance
    admin: httpx.Client

    def page(self, path: str) -> Page:
        reply = self.admin.get(path, headers={"Accept": "text/html"})
        assert reply.status_code < 500, f"{path}: {reply.text[:500]}"
        assert reply.headers["content-type"].startswith("text/html"), path
        found = Page(reply.text)
        assert found.wrong == [], path
        return found


def table() -> bytes:
    """A table whose columns have all these names, and one more to predict."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow([*NAMES.values(), "y"])
    for number in range(240):
        row = [(number * (place + 3)) % 17 for place in range(len(NAMES))]
        row[0] = ["<b>one</b>", f"<i onclick={MARK}>", "three"][number % 3]  # type: ignore[call-overload]
        lines.writerow([*row, 2 * row[1] + number % 5])
    return written.getvalue().encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    appliance = Appliance(tmp_path_factory.mktemp("hostile") / "home").start()
    admin = appliance.set_up()
    reply = admin.post(
        "/api/v1/datasets", data={"name": "odd"}, files={"file": (f"<b>{MARK}</b>.csv", table(), "text/csv")}
    )
    assert reply.status_code == 202, reply.text
    job = processes.ended(appliance, reply.json()["job"])
    assert job["state"] == "succeeded", job
    body = {"model": "odd", "dataset": "odd", "target": "y", "algorithm": "linear", "budget": 20}
    job = processes.ended(appliance, admin.post("/api/v1/runs", json=body).json()["job"], 120)
    assert job["state"] == "succeeded", job
    admin.post("/api/v1/models/odd/approval", json={"reason": f"agreed <script>{MARK}</script>"})
    assert admin.post("/api/v1/deployments", json={"model": "odd"}).status_code == 200
    yield Place(appliance, admin)
    admin.close()
    appliance.stop()


def test_columns_come_back_as_they_were(place: Place) -> None:
    """By the API as JSON; a name may be trimmed or cut, but says nothing else."""
    names = [column["name"] for column in place.admin.get("/api/v1/datasets/odd").json()["schema"]]
    assert len(names) == len(NAMES) + 1
    for given, kept in zip(NAMES.values(), names, strict=False):
        assert kept[:20] in given, (given[:60], kept[:60])
    profile = place.admin.get("/api/v1/datasets/odd/profile").json()["profile"]
    assert [column["name"] for column in profile["columns"]] == names
    assert [
        column["name"]
        for column in json.loads(place.appliance.falaj("dataset", "show", "odd", "--json").stdout)["schema"]
    ] == names


PAGES = [
    "/", "/now", "/datasets", "/datasets/odd", "/datasets/odd:1", "/train", "/train?dataset=odd",
    "/models",
    "/models/odd", "/models/odd/try", "/deployments", "/deployments/odd", "/jobs", "/audit",
    "/users", "/tokens", "/account", "/network", "/checks",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_them_as_text(place: Place, path: str) -> None:
    found = place.page(path)
    if path in ("/datasets/odd", "/models/odd/try"):
        assert NAMES["script"] in found.text
        assert NAMES["entity"] in found.text


def test_the_report_is_shut_in(place: Place) -> None:
    reply = place.admin.get("/models/odd/report", headers={"Accept": "text/html"})
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    found = Page(reply.text)
    assert [one for one in found.wrong if MARK in one or "script" in one] == []


def test_jobs_show_them_as_text(place: Place) -> None:
    for job in place.admin.get("/api/v1/jobs").json():
        for path in (f"/jobs/{job['job']}", f"/jobs/{job['job']}/now"):
            place.page(path)


def test_a_prediction_takes_them(place: Place) -> None:
    names = [
        column["name"] for column in place.admin.get("/api/v1/models/odd").json()["signature"]["columns"]
    ]
    body = {"model": "odd", "rows": [dict.fromkeys(names, 3) | {names[0]: f"<i onclick={MARK}>"}]}
    reply = place.admin.post("/api/v1/predictions", json=body)
    assert reply.status_code in (200, 422), reply.text
    form = {f"c{number}": f"<b>{MARK}</b>" for number in range(len(names))}
    page = place.admin.post("/models/odd/try", data=form, headers={"Accept": "text/html"})
    assert page.status_code in (200, 422)
    assert Page(page.text).wrong == []


@pytest.mark.parametrize("what", REFUSED_OR_NOT)
def test_as_a_name_of_anything_they_are_taken_or_refused(place: Place, what: str) -> None:
    """Datasets, models, users, tokens: by the API, then every list is looked at as a page."""
    name = REFUSED_OR_NOT[what]
    body = {"Content-Type": "application/json"}

    def post(path: str, **values: object) -> httpx.Response:
        return place.admin.post(f"/api/v1{path}", content=json.dumps(values), headers=body)

    replies = {
        "user": post("/users", name=name, role="viewer"),
        "token": post("/tokens", name=name, role="viewer"),
        "token model": post("/tokens", models=[name]),
        "model": post("/runs", model=name, dataset="odd", target="y"),
        "dataset": post("/runs", model="m", dataset=name, target="y"),
        "target": post("/runs", model="m", dataset="odd", target=name + "?"),
        "deployment": post("/deployments", model=name),
        "reason": post("/models/odd/approval", reason=name),
    }
    for kind, reply in replies.items():
        assert reply.status_code < 500, f"{kind}: {reply.text[:300]}"
        if reply.status_code >= 400:
            told = reply.json()
            assert set(told) == {"error", "hint"}
            assert len(told["error"]) < 1000, kind
    if replies["user"].status_code == 201:
        kept = replies["user"].json()["user"]
        assert kept in [user["name"] for user in place.admin.get("/api/v1/users").json()]
        assert kept in place.page("/users").text
        reply = place.admin.post(
            "/users/role", data={"user": kept, "role": "operator"}, headers={"Accept": "text/html"}
        )
        assert reply.headers["location"] == "/users"
        place.page("/users")
        place.admin.post("/users/remove", data={"user": kept})
    for path in ("/users", "/tokens", "/audit", "/jobs"):
        place.page(path)


@pytest.mark.parametrize("what", NAMES)
def test_in_an_address_they_lead_nowhere(place: Place, what: str) -> None:
    name = quote(NAMES[what][:2000], safe="")
    for folder in ("datasets", "models", "deployments", "jobs"):
        reply = place.admin.get(f"/{folder}/{name}", headers={"Accept": "text/html"})
        assert reply.status_code in (400, 404), f"{folder}: {reply.status_code}"
        assert Page(reply.text).wrong == []


def test_typed_into_forms_they_come_back_as_text(place: Place) -> None:
    for name in REFUSED_OR_NOT.values():
        if name == REFUSED_OR_NOT["half"]:
            continue
        for path, form in (
            ("/users", {"name": name, "role": name}),
            ("/tokens", {"name": name, "models": name, "expires": name, "role": name}),
            ("/train", {"model": name, "dataset": "odd", "target": name}),
            ("/models/odd/approve", {"reason": name}),
        ):
            reply = place.admin.post(path, data=form, headers={"Accept": "text/html"})
            assert reply.status_code < 500, f"{path}: {reply.text[:300]}"
            assert Page(reply.text).wrong == [], path


def test_teeth_the_parser_sees_what_escaping_prevents() -> None:
    for what in ("script", "image", "end of a tag"):
        assert Page(f"<p>{NAMES[what]}</p>").wrong, what
    assert Page(f"<input value='{NAMES['attribute']}'>").wrong
    assert Page(f'<a href="{NAMES["address"]}">x</a>').wrong
