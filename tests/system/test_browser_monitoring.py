"""Monitoring in a real browser, on a real appliance: what programs ask changes, and people are told."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.appliance import PASSWORD, Appliance
from tests.system.browser import DESKTOP, PHONE, Visitor, chromium, visitor
from tests.system.processes import until
from tests.system.test_browser import sign_in
from tests.system.test_browser_pages import HOSTILE, OWNED, Shop, write

ROWS = 200  # of a look; fewer are never judged
PRODUCTS = [f"product {number:02}" for number in range(12)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Two models in use, each looked at after 200 rows; Mona is the admin, Vera only looks."""
    folder = tmp_path_factory.mktemp("shop")
    appliance = Appliance(folder / "home", {"FALAJ_DRIFT_ROWS": str(ROWS)}).start()
    try:
        for name, columns in (("sales", PRODUCTS), ("hostile", list(HOSTILE))):
            write(folder / f"{name}.csv", columns)
            appliance.json("dataset", "add", name, str(folder / f"{name}.csv"))
            quick = ("--target", "outcome", "--algorithm", "linear")
            appliance.json("train", name, "--dataset", name, *quick)
            appliance.json("deploy", name)
        appliance.set_up("Mona").close()
        appliance.add_user("Vera", "viewer").close()
        with chromium() as started:
            yield Shop(appliance, f"http://127.0.0.1:{appliance.admin_port}", started)
    finally:
        appliance.stop()


def ask(shop: Shop, model: str, token: str, low: int = 0) -> None:
    """As many rows of its table as a look takes, with numbers from `low` to 99; and until it has looked."""
    before = shop.appliance.json("drift", model)["window"]
    with open(shop.appliance.home.parent / f"{model}.csv", newline="", encoding="utf-8") as file:
        table = [
            {name: int(value) for name, value in row.items() if value.isdigit()}
            for row in csv.DictReader(file)
        ]
    rows = [
        {name: low + value * (100 - low) // 100 for name, value in row.items()}
        for row in random.Random(1).sample(table, ROWS)
    ]
    for first in range(0, ROWS, 20):
        reply = shop.appliance.ask(f"/predict/{model}", {"rows": rows[first : first + 20]}, token)
        assert reply.status == 200, reply.body
    until(lambda: shop.appliance.json("drift", model)["window"] != before, 30)


def unresolved(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.appliance.json("alert", "ls")
    return found


def enter(one: Visitor, name: str = "Mona") -> None:
    one.page.goto(f"{one.home}/sign-in")
    sign_in(one, name, PASSWORD)


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_change_is_told_acknowledged_and_resolved(shop: Shop, tmp_path: Path, phone: bool) -> None:
    with visitor(shop.started, shop.home, tmp_path, phone) as one:
        token = shop.appliance.token("sales", "--name", "Till")
        enter(one)
        ask(shop, "sales", token)
        assert not unresolved(shop)
        one.go("Monitoring")
        one.sees("All is well. No request failed")
        one.sees("looks as in training")
        one.go("Overview")
        one.sees("All is well. 2 models answer.")

        ask(shop, "sales", token, low=60)
        assert [alert["model"] for alert in unresolved(shop)] == ["sales"]
        one.sees("What sales is asked has changed.")  # the overview looks again by itself
        one.see("overview-alert")
        one.link("See the alerts")
        one.sees("One alert is new.")
        one.sees("and 6 more columns")
        one.see("alert")

        one.link("See what has changed")
        one.sees("What it is asked has changed.")
        assert one.path == "/monitoring/sales"
        one.drawn()
        assert one.page.locator("figure.chart").count() == 5
        one.see("monitored")
        one.press(one.page.locator("summary", has_text="Every look so far"))
        one.sees("looks as in training")
        one.nothing_sticks_out()
        assert not one.violations()
        one.link("7 days")
        one.wait(lambda: "hours=168" in one.page.url, "a longer span")
        one.page.get_by_role("link", name="See it", exact=True).first.scroll_into_view_if_needed()
        one.link("See it")
        one.sees("As it was sent")
        assert re.fullmatch(r"/monitoring/sales/predictions/[0-9a-f]{32}", one.path)
        assert "Till" in one.text()
        assert "product 11" in one.text()
        one.see("prediction")

        one.page.goto(f"{one.home}/alerts")
        one.button("I know of it")
        one.sees("Everybody sees now that you know of it.")
        one.sees("somebody knows of it")
        assert not one.page.get_by_role("button", name="I know of it").count()
        one.go("Overview")
        one.sees("One alert still holds; somebody knows of it.")
        one.link("See the alerts")
        one.button("It is dealt with")
        one.sees("If it goes on, a new one is opened.")
        one.sees("All is well. No alert is open.")
        one.see("alerts-over")
        assert not unresolved(shop)
        one.go("Overview")
        one.sees("All is well. 2 models answer.")
        one.go("Records")
        one.sees("resolved an alert")
        one.sees("knows of an alert")


def test_who_only_looks_is_offered_nothing_to_do(shop: Shop, tmp_path: Path) -> None:
    token = shop.appliance.token("sales")
    ask(shop, "sales", token, low=70)
    with visitor(shop.started, shop.home, tmp_path) as one:
        enter(one, "Vera")
        one.sees("What sales is asked has changed.")
        one.link("See the alerts")
        one.sees("One alert is new.")
        main = one.page.get_by_role("main")
        assert not main.get_by_role("button", name=re.compile("I know|dealt|Train")).count()
        one.link("See what has changed")
        one.sees("What it is asked has changed.")
        assert "The newest answers" not in one.text()
        assert not one.violations()
    for alert in unresolved(shop):
        shop.appliance.json("alert", "resolve", str(alert["id"]))


def test_hostile_names_are_text_in_monitoring_too(shop: Shop, tmp_path: Path) -> None:
    token = shop.appliance.token("hostile", "--name", HOSTILE[0])
    ask(shop, "hostile", token, low=80)
    asked = shop.appliance.ask("/predict/hostile", {"rows": [dict.fromkeys(HOSTILE, 90)]}, token)
    kept = asked.body["request_id"]
    until(lambda: shop.appliance.falaj("prediction", "show", kept).returncode == 0, 30)
    with visitor(shop.started, shop.home, tmp_path) as one:
        enter(one)
        shown = {}
        for width, height in (DESKTOP, PHONE):
            one.page.set_viewport_size({"width": width, "height": height})
            for path in (
                *("/", "/alerts", "/monitoring", "/monitoring/hostile"),
                f"/monitoring/hostile/predictions/{kept}",
            ):
                one.page.goto(one.home + path)
                for folded in one.page.locator("main summary").all():
                    folded.click()
                one.drawn()
                one.nothing_sticks_out()
                assert not one.violations(), path
                assert OWNED.split("'")[1] not in one.page.title()
                assert not one.page.locator("main img").count(), path
                shown[path] = one.text()
                one.assert_nothing_went_wrong()
        for path in ("/alerts", "/monitoring/hostile", f"/monitoring/hostile/predictions/{kept}"):
            for name in (HOSTILE[0], HOSTILE[1], HOSTILE[4], HOSTILE[5]):
                assert name in shown[path], (path, name)
    for alert in unresolved(shop):
        shop.appliance.json("alert", "resolve", str(alert["id"]))


def test_prometheus_reads_the_same_figures(shop: Shop, tmp_path: Path) -> None:
    """The page links to them; a program needs a token for a role."""
    token = shop.appliance.token("sales")
    ask(shop, "sales", token)
    with visitor(shop.started, shop.home, tmp_path) as one:
        enter(one, "Vera")
        one.go("Monitoring")
        asked = int(
            one.page.locator("td:nth-child(3)").nth(sorted(("hostile", "sales")).index("sales")).inner_text()
        )
        one.link("/metrics")
        one.wait(lambda: one.path == "/metrics", "the figures")
        text = one.text()
    counted = re.search(r'falaj_requests_total\{model="sales",status="200"\} (\d+)', text)
    assert counted is not None, text[:2000]
    assert int(counted[1]) == asked
