"""Signing in to a real appliance: floods, sessions ended from elsewhere, passwords that others know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from appliance.cli.client import Client
from tests.system import processes
from tests.system.appliance import PASSWORD, Appliance

TRIES = 200
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Appliance, httpx.Client]]:
    """An appliance and the browser of its first admin, mona."""
    appliance = Appliance(tmp_path_factory.mktemp("sign-in") / "home").start()
    admin = appliance.set_up("mona")
    yield appliance, admin
    admin.close()
    appliance.stop()


def who(browser: httpx.Client) -> int:
    return browser.get("/api/v1/session").status_code


def pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def test_a_flood_of_wrong_tries(new_appliance: Callable[..., Appliance]) -> None:
    """Backed off, memory bounded, the records not filled, and the right user gets in after the wait."""
    appliance = new_appliance().start()
    appliance.set_up("mona").close()
    (admin,) = processes.of_role(appliance, "admin")
    with appliance.browser() as browser:
        wrong = {"name": "mona", "password": "wrong"}
        assert browser.post("/api/v1/session", json=wrong).status_code == 401
        before, entries = pss(admin), Client(appliance.home).call("audit.verify")["entries"]
        seen, hint = [], 0
        began = time.monotonic()
        for _ in range(TRIES):
            reply = browser.post("/api/v1/session", json=wrong)
            seen.append(reply.status_code)
            if reply.status_code == 429:
                hint = int(reply.headers["Retry-After"])
                assert f"Wait {hint} second" in reply.json()["hint"]
        assert time.monotonic() - began < 60
        assert set(seen) == {401, 429}
        assert seen.count(401) < 15
        assert pss(admin) - before < 40 << 20
        verdict = Client(appliance.home).call("audit.verify")
        assert verdict["ok"]
        assert verdict["entries"] - entries <= 6
        right = {"name": "mona", "password": PASSWORD}
        refused = browser.post("/api/v1/session", json=right)  # not let past, but told how long
        assert refused.status_code == 429
        time.sleep(int(refused.headers["Retry-After"]))
        assert browser.post("/api/v1/session", json=right).status_code == 201
    # what was counted is written down when its minute is over, at the latest when the appliance stops
    appliance.stop()
    appliance.start()
    told = [
        entry
        for entry in Client(appliance.home).call("audit.ls", limit=200)
        if entry["action"] == "access.refused"
    ]
    counts = [entry["detail"]["refused"] for entry in told]
    assert sum(sum(one.values()) for one in counts) == TRIES + 2
    assert all(PASSWORD not in str(entry) and "wrong" not in str(entry["detail"]) for entry in told)


def test_the_form_is_backed_off_too(new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance().start()
    appliance.set_up("mona").close()
    with appliance.browser() as browser:
        browser.get("/sign-in")
        form = {"name": "nobody", "password": "x", "csrf": browser.cookies["falaj-form"]}
        seen = [browser.post("/sign-in", data=form, headers=HTML) for _ in range(12)]
    assert seen[-1].status_code == 429
    assert int(seen[-1].headers["Retry-After"]) >= 1
    assert "Wait" in seen[-1].text


def test_a_session_that_an_admin_ends_stops_at_once(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    omar = appliance.add_user("omar", "viewer")
    (session,) = [one for one in admin.get("/api/v1/sessions").json() if one["user"] == "omar"]
    assert who(omar) == 200
    reply = admin.post(f"/sessions/{session['session']}/end", data={"from": "users"}, headers=HTML)
    assert (reply.status_code, reply.headers["location"]) == (303, "/users")
    assert who(omar) == 401
    page = omar.get("/models", headers=HTML)
    assert page.headers["location"].startswith("/sign-in?next=")
    omar.close()


def test_ones_own_other_browser_is_ended_from_the_account_page(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, _ = place
    here = appliance.add_user("noor", "operator")
    there = appliance.sign_in("noor")
    sessions = here.get("/api/v1/sessions").json()
    assert {one["user"] for one in sessions} == {"noor"}  # nobody else's is shown
    (other,) = [one["session"] for one in sessions if not one["current"]]
    assert here.post(f"/sessions/{other}/end", headers=HTML).headers["location"] == "/account"
    assert (who(here), who(there)) == (200, 401)
    here.close(), there.close()


def test_the_session_of_somebody_else_is_not_ones_own_to_end(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    viewer = appliance.add_user("zaid", "viewer")
    mona = next(one["session"] for one in admin.get("/api/v1/sessions").json() if one["user"] == "mona")
    assert viewer.delete(f"/api/v1/sessions/{mona}").status_code == 403
    assert who(admin) == 200
    viewer.close()


def test_a_one_time_password_is_changed_first(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, _ = place
    once = Client(appliance.home).call("user.add", name="huda", role="admin")["password"]
    huda = appliance.sign_in("huda", once)
    assert huda.get("/api/v1/users").status_code == 403
    assert huda.get("/users", headers=HTML).headers["location"] == "/account"
    elsewhere = appliance.sign_in("huda", once)
    change = {"old": once, "new": PASSWORD}
    assert huda.post("/api/v1/account/password", json=change | {"new": once}).status_code == 400
    assert huda.post("/api/v1/account/password", json=change | {"new": "huda huda huda"}).status_code == 400
    assert huda.post("/api/v1/account/password", json=change).status_code == 200
    assert huda.get("/api/v1/users").status_code == 200
    assert who(elsewhere) == 401  # whoever else knew it is out
    with appliance.browser() as browser:
        assert browser.post("/api/v1/session", json={"name": "huda", "password": once}).status_code == 401
    huda.close(), elsewhere.close()


def test_a_role_holds_from_the_next_request(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    salim = appliance.add_user("salim", "operator")
    assert salim.get("/train", headers=HTML).status_code == 200
    assert admin.patch("/api/v1/users/salim", json={"role": "viewer"}).status_code == 200
    assert salim.get("/train", headers=HTML).status_code == 403
    assert salim.get("/api/v1/session").json()["role"] == "viewer"
    appliance.json("user", "role", "salim", "operator")  # and by the command line, in another process
    assert salim.get("/train", headers=HTML).status_code == 200
    salim.close()


def test_a_removed_user_is_out_at_once(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    layla = appliance.add_user("layla", "admin")
    assert layla.get("/api/v1/users").status_code == 200
    assert admin.delete("/api/v1/users/layla").status_code == 200
    assert who(layla) == 401
    Client(appliance.home).call("user.add", name="layla", role="viewer")
    assert who(layla) == 401  # somebody else of that name
    layla.close()


def test_a_reset_password_ends_every_session(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    rami = appliance.add_user("rami", "viewer")
    once = admin.post("/api/v1/users/rami/password").json()["password"]
    assert who(rami) == 401
    again = appliance.sign_in("rami", once)
    assert again.get("/api/v1/session").json()["must_change"] is True
    rami.close(), again.close()


def test_a_killed_admin_process_keeps_the_sessions(place: tuple[Appliance, httpx.Client]) -> None:
    appliance, admin = place
    (process,) = processes.of_role(appliance, "admin")
    process.kill()
    deadline = time.monotonic() + 30
    while True:
        try:
            if who(admin) == 200 and processes.of_role(appliance, "admin") != [process]:
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the admin page did not come back"
        time.sleep(0.05)
    assert admin.get("/users", headers=HTML).status_code == 200


def test_of_two_who_set_up_at_once_one_does(new_appliance: Callable[..., Appliance]) -> None:
    appliance = new_appliance().start()
    code = Client(appliance.home).call("setup.code")["code"]
    replies = []
    for name in ("mona", "omar"):
        with appliance.browser() as browser:
            body = {"code": code, "name": name, "password": PASSWORD}
            replies.append(browser.post("/api/v1/setup", json=body).status_code)
    assert replies == [201, 409]
    assert [one["name"] for one in appliance.json("user", "ls")] == ["mona"]
