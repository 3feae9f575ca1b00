"""The whole main job in a real browser, as a person does it: from the set-up code to a prediction.

After the first address there are only the mouse (or a finger), the keyboard, and what the page offers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser as Chromium

from appliance.admin.navigation import PAGES
from appliance.verbs import VERBS
from tests.system import tables
from tests.system.appliance import Appliance
from tests.system.browser import PICTURES, Visitor, chromium, visitor

PASSWORD = "copper kettle by the well"
CODE = re.compile(r"^ +([0-9A-Z]{5}-[0-9A-Z]{5})$", re.MULTILINE)


@pytest.fixture(scope="module")
def started() -> Iterator[Chromium]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["desktop", "phone"])
def person(
    request: pytest.FixtureRequest,
    started: Chromium,
    new_appliance: Callable[..., Appliance],
    tmp_path: Path,
) -> Iterator[tuple[Visitor, Appliance]]:
    """Somebody before an appliance that nobody has set up."""
    fresh = new_appliance().start()
    home = f"http://127.0.0.1:{fresh.admin_port}"
    with visitor(started, home, tmp_path / "pictures", phone=request.param == "phone") as one:
        yield one, fresh


def test_from_the_set_up_code_to_a_prediction(person: tuple[Visitor, Appliance], tmp_path: Path) -> None:
    one, fresh = person
    set_up(one, fresh)
    bring_in(one, tables.churn(tmp_path))
    look_at_the_data(one)
    train(one, "boosted")
    put_to_use(one, 1)
    try_it(one)
    train(one, "linear")
    put_to_use(one, 2)
    roll_back(one)
    make_a_token(one)
    add_somebody(one)
    look_around(one)
    out_and_in_again(one)


def set_up(one: Visitor, fresh: Appliance) -> None:
    """The code stands in the terminal where the appliance was started."""
    with one.refusal(403):
        one.page.goto(one.home)
        one.sees("This appliance has not been set up yet")
        one.see("not-set-up")
        one.link("I have the code")
        one.sees("Set up this appliance")
    code = CODE.search(fresh.log())
    assert code is not None, fresh.log()
    one.see("set-up")
    one.type("Set-up code", code[1].lower())
    one.type("Your name", "Maryam")
    one.type("Password", PASSWORD)
    one.type("The same password again", PASSWORD + "x")
    with one.refusal(400):
        one.button("Set up and go in")
        one.sees("The two passwords are not the same.")
    one.type("Password", PASSWORD)
    one.type("The same password again", PASSWORD)
    one.button("Set up and go in")
    one.sees("All is well. Nothing is here yet.")
    one.see("overview-empty")
    for name, _title in empty_pages():
        one.go(name)
        one.see(f"{name.lower().replace(' ', '-')}-empty")


def empty_pages() -> list[tuple[str, str]]:
    """Those that lead on while there is nothing."""
    return [
        ("Train", "There is no data yet"),
        ("Models", "No models yet"),
        ("In use", "Nothing is in use yet"),
    ]


def bring_in(one: Visitor, table: Path) -> None:
    one.go("Overview")
    one.link("Bring in a table")
    one.wait(lambda: one.path == "/datasets", "the page of the data")
    one.hand_over("File", table)
    one.button("Bring it in")
    one.wait(lambda: re.fullmatch(r"/jobs/[0-9a-f]+", one.path), "the job of the import")
    one.sees("The table is here.", 60)
    one.see("job-import")
    one.link("See what is in it")
    one.wait(lambda: one.path == "/datasets/customers:1", "the data set")


def look_at_the_data(one: Visitor) -> None:
    assert one.heading() == "customers:1"
    assert one.page.locator("figure.chart").count() >= 3
    one.see("dataset")
    one.press(one.page.get_by_text("As a table").first)
    one.nothing_sticks_out()


def train(one: Visitor, kind: str) -> None:
    """By the form; the progress goes on by itself, on the same page."""
    one.go("Train")
    one.see("train")
    one.link("Learn from it")
    one.sees("What do you want to know?")
    one.choose("What do you want to know?", "Churn")
    one.type("Name of the model", "leaving")
    one.press(one.page.get_by_text("More choices; the usual ones are set"))
    one.choose("Kind of model", kind)
    one.see("train-form")
    one.button("Train")
    one.wait(lambda: re.fullmatch(r"/jobs/[0-9a-f]+", one.path), "the job of the training")
    one.page.wait_for_load_state()
    loads, told, seen, ends = one.loads, set(), False, time.monotonic() + 120
    progress = one.page.locator(".polled .progress > span")
    while not one.page.get_by_text("The model is trained.").count():
        told |= set(progress.all_inner_texts())
        if not seen and len(told) == 2:
            one.see("job-training")
            seen = True
        one.page.wait_for_timeout(60)
        assert time.monotonic() < ends, told
        assert not one.page.get_by_text("It did not work.").count(), one.text()
    assert told, "it was done before anybody could look"
    assert one.loads == loads, "the page was loaded again"
    one.link("See how good it is")
    one.sees("How good it is")


def put_to_use(one: Visitor, version: int) -> None:
    assert one.heading() == f"leaving:{version}"
    one.see("model")
    one.button("Put it to use")
    one.sees(f"leaving:{version} answers now.")
    one.sees(f"Version {version} answers.")


def try_it(one: Visitor) -> None:
    one.link("Try it")
    one.sees("Fill in what you know")
    one.type("tenure", "two")
    with one.refusal(400, 422):
        one.button("Ask the model")
        one.sees("must be a number")
    assert one.page.get_by_label("tenure").input_value() == "two", "what was typed is kept"
    one.type("tenure", "2")
    one.type("MonthlyCharges", "99.5")
    one.choose("Contract", "Month-to-month")
    one.button("Ask the model")
    one.sees("The model gives this a chance of")
    assert one.page.locator("#answer .value").inner_text() in ("Yes", "No")
    one.see("try")


def roll_back(one: Visitor) -> None:
    one.see("deployment")
    one.button("Back to version 1")
    one.sees("leaving: version 1 answers again.")
    one.sees("Version 1 answers.")


def make_a_token(one: Visitor) -> None:
    one.go("Programs")
    one.see("tokens-empty")
    one.type("Which program is it for?", "Till in the shop")
    one.press(one.page.get_by_label("leaving", exact=True))
    one.button("Make it")
    one.sees("Copy it now: it is not shown again.")
    token = one.page.get_by_role("textbox", name="Token").inner_text()
    assert len(token) > 30
    one.see("token-made")
    one.button("Copy")
    one.go("Programs")
    one.sees("Till in the shop")
    assert token not in one.page.content(), "a token is seen once"


def add_somebody(one: Visitor) -> None:
    one.go("People")
    one.type("Name", "سالم")
    one.choose("Role", "operator")
    one.button("Add")
    one.sees("is not shown again")
    assert len(one.page.get_by_role("textbox", name="One-time password").inner_text()) >= 10
    one.see("user-made")


def look_around(one: Visitor) -> None:
    """Every page of the navigation, as it is in daily use."""
    for href, label, _icon, verb in PAGES:
        if verb in VERBS:
            one.go(label)
            one.see(picture_of(href))
    one.go("Jobs")
    one.link("Training")
    one.press(one.page.get_by_text("Log", exact=True))
    one.see("job")
    one.go("Records")
    one.button("Check that nothing was changed")
    one.sees("The chain is whole")
    one.see("audit-verified")
    with one.page.expect_download() as download:
        one.button("Download all")
    assert download.value.suggested_filename == "falaj-audit.jsonl"
    one.go("Checks")
    one.link("Look again")
    one.sees("Nothing needs you.")


def out_and_in_again(one: Visitor) -> None:
    one.go("My account")
    one.type("Present password", "not this one at all")
    one.type("New password", PASSWORD + " in spring")
    one.type("The same password again", PASSWORD + " in spring")
    with one.refusal(403):
        one.button("Change it")
        one.page.get_by_role("alert").wait_for()
    one.type("Present password", PASSWORD)
    one.type("New password", PASSWORD + " in spring")
    one.type("The same password again", PASSWORD + " in spring")
    one.button("Change it")
    one.sees("Your password is changed.")
    sign_out(one)
    one.see("sign-in")
    one.type("Your name", "Maryam")
    one.type("Password", PASSWORD)
    with one.refusal(401):
        one.button("Sign in")
        one.page.get_by_role("alert").wait_for()
    sign_in(one, "Maryam", PASSWORD + " in spring")
    one.sees("All is well. One model answers.")


def sign_out(one: Visitor) -> None:
    if one.phone:
        one.press(one.page.locator("details.menu > summary"))
    one.button("Sign out")
    one.wait(lambda: one.path == "/sign-in", "the sign-in page")


def sign_in(one: Visitor, name: str, password: str) -> None:
    one.type("Your name", name)
    one.type("Password", password)
    one.button("Sign in")
    one.wait(lambda: one.path != "/sign-in", "being signed in")


def picture_of(href: str) -> str:
    return urlsplit(href).path.strip("/") or "overview"


def test_the_documentation_has_a_picture_of_every_page() -> None:
    wanted = {
        f"{picture_of(href)}-{theme}.webp"
        for href, _label, _icon, verb in PAGES
        if verb in VERBS
        for theme in ("light", "dark", "light-phone", "dark-phone")
    }
    missing = wanted - {path.name for path in PICTURES.glob("*.webp")}
    assert not missing, f"take them anew: FALAJ_PICTURES=1 pytest tests/system/test_browser.py; {missing}"
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 6_000_000
