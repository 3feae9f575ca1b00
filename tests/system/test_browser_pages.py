"""Single pages in a real browser: the keyboard alone, tables, polling, refusals, sessions, hostile names."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from tests.system.appliance import Appliance
from tests.system.browser import DESKTOP, PHONE, Visitor, chromium, visitor
from tests.system.test_browser import CODE, PASSWORD, sign_in, sign_out

OWNED = "document.title='owned'"
HOSTILE = (
    f"<script>{OWNED}</script>",
    "🌴 dates sold",
    "\u202eright to left\u202e",
    "long " + "x" * 9990 + "tail",
    f'"><img src=x onerror="{OWNED}">',
    "{{7*7}}",
)


@dataclass(frozen=True)
class Shop:
    """An appliance that is set up, with two data sets and a model of each."""

    appliance: Appliance
    home: str
    started: Chromium


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    appliance = Appliance(folder / "home").start()
    try:
        code = CODE.search(appliance.log())
        assert code is not None
        write(folder / "sales.csv", [f"product {number:02}" for number in range(12)])
        write(folder / "hostile.csv", list(HOSTILE))
        for name in ("sales", "hostile"):
            appliance.json("dataset", "add", name, str(folder / f"{name}.csv"))
            quick = ("--target", "outcome", "--algorithm", "linear")
            appliance.json("train", name, "--dataset", name, *quick)
            appliance.json("deploy", name)
        home = f"http://127.0.0.1:{appliance.admin_port}"
        with chromium() as started:
            with visitor(started, home, folder) as one:
                one.page.goto(f"{home}/setup")
                for label, text in (("Set-up code", code[1]), ("Your name", "Maryam")):
                    one.type(label, text)
                for label in ("Password", "The same password again"):
                    one.type(label, PASSWORD)
                one.button("Set up and go in")
                one.sees("All is well.")
            yield Shop(appliance, home, started)
    finally:
        appliance.stop()


def write(path: Path, columns: list[str]) -> None:
    """600 rows of numbers, the first telling the outcome fairly well, with holes that differ by column."""
    draw = random.Random(3)
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*columns, "outcome"])
        for _ in range(600):
            values = [draw.randrange(100) for _ in columns]
            told = "good" if values[0] + draw.randrange(30) > 60 else "bad"
            holes = [value if draw.random() > 0.02 * nth else "" for nth, value in enumerate(values)]
            rows.writerow([*holes, told])


@pytest.fixture
def one(shop: Shop, tmp_path: Path) -> Iterator[Visitor]:
    """Maryam, signed in."""
    with visitor(shop.started, shop.home, tmp_path) as made:
        made.page.goto(f"{shop.home}/sign-in")
        sign_in(made, "Maryam", PASSWORD)
        yield made


def test_what_goes_wrong_is_noticed(shop: Shop, tmp_path: Path) -> None:
    """These tests are worth nothing if the watch sleeps."""
    with visitor(shop.started, shop.home, tmp_path) as one:
        one.page.goto(f"{shop.home}/sign-in")
        assert not one.violations()
        one.look(
            "document.body.insertAdjacentHTML('beforeend', '<img src=/nothing><p style=color:red>x</p>')"
        )
        one.look("document.querySelector('h1').style.width = '3000px'")
        one.look("fetch('http://127.0.0.9/').catch(() => 0)")
        with pytest.raises(AssertionError, match="wide"):
            one.nothing_sticks_out()
        assert any(found.startswith("image-alt") for found in one.violations())
        signs = ("404 for GET", "policy: style-src", "policy: connect-src", "Content Security Policy")
        one.wait(lambda: all(any(sign in told for told in one.wrong) for sign in signs), "what went wrong")
        one.wrong.clear()


# The keyboard alone


def tab_to(one: Visitor, name: str, most: int = 80) -> None:
    """By Tab alone; every stop on the way can be seen, and comes after the one before."""
    before = one.look(STOP)["place"]
    for _ in range(most):
        one.page.keyboard.press("Tab")
        stop = one.look(STOP)
        if stop["place"] >= 0:
            assert stop["seen"], f"the focus can't be seen on {one.focused()}"
            assert stop["place"] > before, f"the focus jumps back to {one.focused()}"
            assert stop["inside"], f"the focus is outside the window on {one.focused()}"
        before = stop["place"]
        if one.focused() == name:
            return
    raise AssertionError(f"'{name}' can't be reached by Tab; the last stop is {one.focused()}")


STOP = """(() => { const on = document.activeElement;
  const style = getComputedStyle(on), box = on.getBoundingClientRect();
  return { place: on === document.body ? -1 : [...document.querySelectorAll("*")].indexOf(on),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth }; })()"""


def test_the_keyboard_alone(shop: Shop, tmp_path: Path) -> None:
    with visitor(shop.started, shop.home, tmp_path) as one:
        keys = one.page.keyboard
        one.page.goto(f"{shop.home}/sign-in")
        one.wait(lambda: one.focused() == "Your name", "the cursor in the first field")
        keys.type("Maryam")
        keys.press("Tab")
        keys.type(PASSWORD)
        keys.press("Enter")
        one.sees("Models in use")

        keys.press("Tab")
        assert one.focused() == "Skip to the content"
        keys.press("Enter")
        assert one.look("document.activeElement.id") == "content"

        one.page.reload()
        tab_to(one, "Data")
        keys.press("Enter")
        one.sees("Bring in a table")
        tab_to(one, "Bring it in")
        keys.press("Enter")  # without a file: the browser itself says so, at the field
        assert one.look("document.activeElement.type") == "file"
        assert one.path == "/datasets"

        one.page.reload()
        tab_to(one, "Train")
        keys.press("Enter")
        one.wait(lambda: one.path == "/train", "the form to train")
        tab_to(one, "Learn from it")
        keys.press("Enter")
        one.sees("What do you want to know?")
        tab_to(one, "What do you want to know? target")
        keys.type("outcome")
        tab_to(one, "Name of the model")
        keys.type("keyboard")
        tab_to(one, "More choices; the usual ones are set")
        keys.press("Enter")
        tab_to(one, "Kind of model algorithm")
        keys.type("linear")
        tab_to(one, "Train")
        keys.press("Enter")
        one.wait(lambda: one.path.startswith("/jobs/"), "the job")
        one.sees("The model is trained.", 60)
        tab_to(one, "See how good it is")
        keys.press("Enter")
        one.sees("How good it is")
        tab_to(one, "Put it to use")
        keys.press("Enter")
        one.sees("keyboard:1 answers now.")

        tab_to(one, "Stop answering")
        keys.press("Enter")
        dialog = one.page.get_by_role("dialog")
        dialog.wait_for()
        stops = []
        for _ in range(8):
            assert one.look(
                "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            )
            stops.append(one.focused())
            keys.press("Tab")
        assert {"Cancel", "Stop answering"} <= set(stops)
        assert not one.violations()
        keys.press("Escape")
        assert not dialog.is_visible()
        assert one.focused() == "Stop answering", "the focus is back where it was"
        keys.press("Enter")
        one.wait(lambda: dialog.is_visible(), "the question again")
        for _ in range(3):
            if one.focused() == "Cancel":
                break
            keys.press("Tab")
        keys.press("Enter")
        one.wait(lambda: not dialog.is_visible(), "the question gone")
        assert one.focused() == "Stop answering"
        one.sees("Version 1 answers.")


# Tables


def test_tables_sort_and_filter(one: Visitor) -> None:
    one.go("Data")
    one.link("sales")
    one.sees("Columns")
    table = one.page.locator("table[data-sort]").first
    names, rows = table.locator("tbody td:first-child"), table.locator("tbody tr:not([hidden])")
    head = table.get_by_role("columnheader", name="Missing")

    one.button("Missing")
    assert head.get_attribute("aria-sort") == "ascending"
    missing = [int(text) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert missing == sorted(missing)
    assert missing[0] < missing[-1]
    one.page.keyboard.press("Enter")  # the focus is still on the head
    assert head.get_attribute("aria-sort") == "descending"
    assert names.first.inner_text() == "product 11"
    one.page.keyboard.press("Shift+Tab")
    one.page.keyboard.press("Shift+Tab")
    assert one.focused().startswith("Column")
    one.page.keyboard.press("Space")
    assert (
        table.get_by_role("columnheader", name="Column", exact=True).get_attribute("aria-sort") == "ascending"
    )
    assert head.get_attribute("aria-sort") is None
    assert names.all_inner_texts() == sorted(names.all_inner_texts())
    assert not one.violations()

    one.press(one.page.get_by_label("Show only rows with"))
    one.page.keyboard.type("PRODUCT 07")
    one.sees("Rows shown: 1 of 13")
    assert rows.count() == 1
    one.page.keyboard.press("ControlOrMeta+a")
    one.page.keyboard.press("Delete")
    assert rows.count() == 13


# Jobs


def test_polling_ends_with_the_job(one: Visitor) -> None:
    one.go("Jobs")
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url))
    one.link("Training")
    one.sees("The model is trained.")
    one.page.wait_for_timeout(2500)
    assert not [url for url in asked if url.endswith("/now")]
    one.go("Overview")
    one.wait(lambda: [url for url in asked if url.endswith("/now")], "the start page looks again")


def test_an_upload_shows_how_far_it_is(one: Visitor, tmp_path: Path) -> None:
    table = tmp_path / "large.csv"
    table.write_text("a,b\n" + "".join(f"{number},{number * 7919 % 1000}\n" for number in range(120_000)))
    one.go("Data")
    one.hand_over("File", table)
    slow = one.page.context.new_cdp_session(one.page)
    line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 600_000}
    slow.send("Network.enable")
    slow.send("Network.emulateNetworkConditions", line)
    loads = one.loads
    one.press(one.page.get_by_role("button", name="Bring it in"))
    state, told = one.page.locator("[data-state] span"), set()
    while one.path == "/datasets":
        told |= set(state.all_inner_texts())
        one.page.wait_for_timeout(40)
    assert len([text for text in told if re.fullmatch(r"Uploading \d+%", text)]) >= 2, told
    slow.send("Network.emulateNetworkConditions", line | {"uploadThroughput": -1})
    one.sees("The table is here.", 60)
    assert one.loads == loads, "the page was not loaded anew"


def test_a_refused_upload_says_why_and_keeps_what_was_typed(one: Visitor, tmp_path: Path) -> None:
    table = tmp_path / "Shop.csv"
    table.write_text("a,b\n1,2\n3,4\n")
    one.go("Data")
    one.type("Name", "My Shop!")
    one.hand_over("File", table)
    with one.refusal(400, 422):
        one.button("Bring it in")
        one.page.get_by_role("alert").wait_for()
    assert "My Shop!" in one.page.get_by_role("alert").inner_text()
    assert one.page.get_by_label("Name", exact=True).input_value() == "My Shop!"
    assert not one.violations()
    one.type("Name", "my-shop")
    one.hand_over("File", table)
    one.button("Bring it in")
    one.sees("The table is here.", 60)
    one.page.reload()
    one.sees("The table is here.")


def test_a_job_that_fails_says_why(one: Visitor, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    one.go("Data")
    one.hand_over("File", tmp_path / "empty.csv")
    one.button("Bring it in")
    one.sees("It did not work.", 60)
    assert not one.violations()
    one.go("Overview")
    one.sees("The appliance runs, but the last job failed.")
    one.link("See what happened")
    one.link("Bring it in again, with other choices")
    assert one.page.get_by_label("Name", exact=True).input_value() == "empty"


# Sessions


def test_a_session_that_ends_while_the_page_polls(shop: Shop, one: Visitor) -> None:
    one.go("Overview")
    one.sees("Models in use")
    with one.refusal(401):
        for session in shop.appliance.json("session", "ls"):
            shop.appliance.json("session", "revoke", session["session"])
        one.wait(lambda: one.path == "/sign-in", "the sign-in page")
        one.page.wait_for_timeout(1500)  # and stays there, polling nothing
    assert one.heading() == "Sign in"


def test_back_and_forward_after_the_sign_out_show_nothing(one: Visitor) -> None:
    one.go("People")
    one.sees("Add somebody")
    one.go("Records")
    one.sees("audit chain")
    sign_out(one)
    for step, page in ((-1, "audit"), (-1, "users"), (1, "audit")):
        one.look(f"history.go({step})")  # what the browser's buttons do
        one.page.wait_for_url(re.compile(f"sign-in.next=/{page}$"))
        assert one.heading() == "Sign in", one.page.url
        assert "Maryam" not in one.page.content()


def test_two_tabs(shop: Shop, one: Visitor) -> None:
    """What one tab has done, the other is told when it comes too late."""
    first = shop.appliance.json("deployment", "show", "sales")["live"]["version"]
    shop.appliance.json(
        "train", "sales", "--dataset", "sales", "--target", "outcome", "--algorithm", "linear"
    )
    one.go("Models")
    one.link("sales")
    put_to_use_anyway(one, "sales")
    other = Visitor(one.page.context.new_page(), one.home, one.folder)
    other.page.goto(one.page.url)
    one.button(f"Back to version {first}")
    one.sees(f"Version {first} answers.")
    other.button(f"Back to version {first}")
    other.sees("Nothing was done: it has changed since you loaded the page.")
    other.sees(f"Version {first} answers.")
    now = shop.appliance.json("deployment", "show", "sales")["live"]["version"]
    assert now == first, "the second click did not roll forward again"

    sign_out(one)
    other.go("Jobs")
    assert other.path == "/sign-in"
    sign_in(other, "Maryam", PASSWORD)
    assert other.path == "/jobs", "on to what was asked for"
    one.page.goto(one.home)
    one.sees("Models in use")
    other.assert_nothing_went_wrong()


def put_to_use_anyway(one: Visitor, model: str) -> None:
    one.button("Put it to use")
    one.wait(lambda: one.path == f"/deployments/{model}", "the page of what is in use")


def test_a_form_of_an_earlier_session_is_refused_in_words(one: Visitor) -> None:
    one.go("Programs")
    other = Visitor(one.page.context.new_page(), one.home, one.folder)
    other.page.goto(one.home)
    sign_out(other)
    sign_in(other, "Maryam", PASSWORD)
    with one.refusal(403):
        one.type("Which program is it for?", "too late")
        one.button("Make it")
        one.sees("This request does not come from a page of this appliance.")
    assert not one.violations()


# Hostile names


def pages_with_names(shop: Shop) -> list[str]:
    jobs = [job["job"] for job in shop.appliance.json("job", "ls") if job["subject"] == "hostile"]
    return [
        "/",
        "/datasets",
        "/datasets/hostile:1",
        "/train?dataset=hostile:1",
        "/models/hostile:1",
        "/models/hostile:1/report",
        "/models/hostile/try",
        "/deployments/hostile",
        "/jobs",
        *(f"/jobs/{job}" for job in jobs),
        "/users",
        "/tokens",
        "/audit",
    ]


def test_hostile_names_are_text_everywhere(shop: Shop, one: Visitor) -> None:
    people = [name[:60] for name in HOSTILE if name.isprintable()]
    one.go("People")
    with one.refusal(400):  # most are no names for a person: said, with what was typed still there
        for name in people:
            one.type("Name", name)
            one.button("Add", one.page.get_by_role("main"))
            if name in (HOSTILE[3][:60], HOSTILE[5]):
                one.page.get_by_role("textbox", name="One-time password").wait_for()
                continue
            one.page.get_by_role("alert").wait_for()
            assert one.page.get_by_label("Name", exact=True).input_value() == name
    one.go("Programs")
    for name in people:
        one.type("Which program is it for?", name)
        one.press(one.page.get_by_label("hostile", exact=True))
        one.button("Make it")
        one.page.get_by_role("textbox", name="Token").wait_for()

    shown = {}
    for width, height in (DESKTOP, PHONE):
        one.page.set_viewport_size({"width": width, "height": height})
        for path in pages_with_names(shop):
            one.page.goto(one.home + path)
            if not path.endswith("/report"):
                one.drawn()
            for folded in one.page.locator("main summary").all():
                folded.click()
            if not path.endswith("/report"):
                one.drawn()
            one.nothing_sticks_out()
            assert one.page.title() != "owned", path
            assert "49" not in one.page.title()
            assert not one.page.locator("main img").count(), path
            shown[path] = one.page.locator("body").inner_text()
            one.assert_nothing_went_wrong()
    for path in (
        "/datasets/hostile:1",
        "/train?dataset=hostile:1",
        "/models/hostile:1",
        "/models/hostile/try",
    ):
        for name in (HOSTILE[0], HOSTILE[1], HOSTILE[4], HOSTILE[5]):
            assert name in shown[path], (path, name)
    assert HOSTILE[5] in shown["/users"]
    for path in ("/tokens", "/audit"):
        assert HOSTILE[0] in shown[path]


def test_hostile_columns_are_asked_for_and_answered(one: Visitor) -> None:
    one.page.goto(f"{one.home}/models/hostile/try")
    one.type(HOSTILE[0], "90")
    one.button("Ask the model")
    one.sees("The model gives this a chance of")
    assert one.page.locator("#answer .value").inner_text() in ("good", "bad")
    assert not one.violations()
    one.page.goto(f"{one.home}/models/hostile:1")
    one.drawn()
    assert not one.violations()
    one.page.goto(f"{one.home}/datasets/hostile:1")
    one.drawn()
    assert not one.violations()
