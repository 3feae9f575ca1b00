"""The permission walk: what a real appliance allows is what the golden file shows and the table declares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from appliance.cli.client import Client
from appliance.doors import access
from appliance.inference.routes import Door
from appliance.security import roles
from appliance.security.roles import PERMISSIONS, Role
from tests.system import walk
from tests.system.appliance import Appliance
from tests.system.walk import CALLERS, GOLDEN, METHODS, ROLES, Callers, Row, address, outcome

OPEN_DOORS = {Door.LIVE, Door.READY, Door.SERVER, Door.V2_LIVE, Door.V2_READY}


@dataclass
class Walked:
    """An appliance before and after its set-up, and what was seen."""

    callers: Callers
    before: dict[tuple[str, str, str], int]
    sections: dict[str, list[Row]]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    if os.geteuid() != 0:
        pytest.skip("only root can act as another account")
    appliance = Appliance(tmp_path_factory.mktemp("walk") / "home").start()
    try:
        before = {}
        for method, rule, need in walk.routes(appliance.home):
            headers = {"Accept": "text/html"}
            before[method, rule, need] = appliance.page(method, address(rule), headers=headers).status_code
        callers = Callers(appliance)
        yield Walked(callers, before, walk.walk(callers))
        callers.close()
    finally:
        appliance.stop()


def test_what_is_allowed_is_what_the_golden_file_shows(walked: Walked) -> None:
    """A route, verb or permission that is new or changed: look, then `python -m tests.system.walk`."""
    assert walk.table(walked.sections) == GOLDEN.read_text()


def declared(row: Row, caller: str) -> str:
    """What must become of a caller there, from the table of permissions alone."""
    method, _, path = row.what.partition(" ")
    is_page = not path.startswith(("/api/", "/metrics"))
    unknown = "sign-in" if is_page and method == "GET" else "401"
    if row.need in (access.OPEN, access.SETUP):
        return "allowed" if row.need == access.OPEN else "over"
    if caller in ("expired", "revoked"):
        return unknown
    if caller == "predictions":
        return "403"
    if row.need == access.ENTRY:
        return "allowed"
    if caller in ("over", "nobody"):
        return unknown
    if row.need == access.OWN_ACCOUNT:
        return "allowed"
    if caller == "one-time":
        return "allowed" if row.need == roles.OWN_PASSWORD else "account" if is_page else "403"
    return "allowed" if roles.may(Role(caller.removeprefix("token:")), row.need) else "403"


def test_what_is_allowed_is_what_is_declared(walked: Walked) -> None:
    wrong = [
        f"{row.what} as {caller}: {row.outcomes[caller]}, declared {declared(row, caller)}"
        for row in walked.sections["admin port"]
        for caller in CALLERS
        if row.outcomes[caller] != declared(row, caller)
    ]
    assert wrong == []


def test_every_need_is_met_somewhere(walked: Walked) -> None:
    needs = {row.need for row in walked.sections["admin port"]}
    assert {verb for verb, allowed in PERMISSIONS.items() if allowed} <= needs
    assert needs <= set(PERMISSIONS) | {access.OPEN, access.SETUP, access.ENTRY, access.OWN_ACCOUNT}


def test_the_endpoint_asks_for_a_token_that_is_for_the_model(walked: Walked) -> None:
    for row in walked.sections["endpoint"]:
        door = Door[row.need.upper()]
        for caller, seen in row.outcomes.items():
            if door in OPEN_DOORS:
                assert seen == "allowed", (row.what, caller)
            elif caller in ("expired", "revoked", "session", "nobody"):
                assert seen == "401", (row.what, caller)
            elif caller.startswith("token:"):  # for a role and no model
                assert seen == "403", (row.what, caller)
            elif caller == "predictions" or door in (Door.MODELS, Door.METRICS) or caller == "this-model":
                assert seen == "allowed", (row.what, caller)
            else:  # a token for another model
                assert seen == "403", (row.what, caller)


def test_the_local_socket_is_its_owners(walked: Walked) -> None:
    rows = walked.sections["local socket"]
    assert {row.what for row in rows} == set(PERMISSIONS)
    assert {row.outcomes["owner"] for row in rows} == {"allowed"}
    assert {row.outcomes["another"] for row in rows} == {"403"}


def test_before_the_set_up_everything_is_shut(walked: Walked) -> None:
    """But for health, style sheets, and the set-up itself."""
    for (method, rule, need), status in walked.before.items():
        if need == access.OPEN:
            assert status in (200, 304, 404), (method, rule)
        elif need == access.SETUP and method == "GET":
            assert status == 200, (method, rule)
        else:  # the set-up form carries no token of its own here
            assert status == 403, (method, rule)


def test_before_the_set_up_the_socket_and_the_endpoint_work(tmp_path: object, new_appliance: object) -> None:
    appliance = new_appliance().start()  # type: ignore[operator]
    token = Client(appliance.home).call("token.create", models=["*"], role="operator")["token"]
    assert appliance.ask("/v2/models", token=token).status == 200
    assert appliance.ask("/v2/models").status == 401
    assert (
        appliance.page("GET", "/api/v1/status", headers={"Authorization": f"Bearer {token}"}).status_code
        == 403
    )
    assert appliance.json("user", "ls") == []


def test_other_methods_are_nobodys(walked: Walked) -> None:
    """HEAD shows no more than GET; a method that an address does not have is a 405, whoever calls."""
    found = walk.routes(walked.callers.appliance.home)
    for rule in sorted({rule for _, rule, _ in found}):
        has = {method for method, one, _ in found if one == rule}
        for method in METHODS:
            for name in ("viewer", "nobody", "expired"):
                if method in has:
                    continue
                seen = outcome(walked.callers.request(name, method, address(rule)).status_code)
                if method in ("HEAD", "OPTIONS") and (method == "OPTIONS" or "GET" in has):
                    rows = [row for row in walked.sections["admin port"] if row.what.endswith(f" {rule}")]
                    known = {row.outcomes[name].replace("sign-in", "401") for row in rows}
                    assert seen in known | ({"allowed"} if "over" in known else set()), (method, rule, name)
                else:
                    assert seen == "405", (method, rule, name)


def test_the_walk_has_teeth(walked: Walked) -> None:
    """A verb that is opened to viewers by mistake shows in the table."""
    held = PERMISSIONS["user.add"]
    PERMISSIONS["user.add"] = held | {Role.VIEWER}
    try:
        row = next(row for row in walked.sections["admin port"] if row.what == "POST /api/v1/users")
        assert declared(row, "viewer") == "allowed" != row.outcomes["viewer"]
    finally:
        PERMISSIONS["user.add"] = held
    assert {row.outcomes["viewer"] for row in walked.sections["admin port"]} > {"allowed", "403"}
    assert len(ROLES) == len(roles.FOR_PEOPLE)
