"""The management API: what each route answers, its OpenAPI document, and bodies made to hurt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from appliance.api.routes import ROUTES, Route
from appliance.verbs import VERBS
from tests.unit.doors.serving import PASSWORD, Served

NO = "There is no "
# (who, method, path, body, status, what the answer holds)
SCENARIOS: list[tuple[str, str, str, Any, int, str]] = [
    ("viewer", "GET", "/status", None, 200, '"ready":false'),
    ("operator", "GET", "/gpu", None, 200, '"devices"'),
    ("viewer", "GET", "/gpu", None, 403, "As viewer you may not"),
    ("viewer", "GET", "/upgrade", None, 200, '"snapshots":[]'),
    ("operator", "GET", "/doctor", None, 200, '"check":"blobs"'),
    ("operator", "GET", "/doctor?quick=true", None, 200, '"check":"registry"'),
    ("operator", "GET", "/settings", None, 200, '"setting":"inference.port"'),
    ("operator", "GET", "/settings?section=none", None, 404, NO),
    ("viewer", "GET", "/settings", None, 403, "As viewer you may not"),
    ("admin", "GET", "/recovery", None, 200, '"made":'),
    ("admin", "POST", "/recovery", None, 201, '"key"'),
    ("admin", "POST", "/recovery/check", {}, 400, "The 'key' of recovery.check must be a text"),
    ("admin", "POST", "/recovery/check", {"key": "XXX"}, 400, "This is no recovery key"),
    ("operator", "POST", "/recovery", None, 403, "As operator you may not"),
    ("viewer", "GET", "/datasets", None, 200, "[]"),
    ("viewer", "GET", "/datasets/none", None, 404, NO),
    ("viewer", "GET", "/datasets/none/profile", None, 404, NO),
    ("viewer", "GET", "/datasets/UPPER:x", None, 400, "'UPPER'"),
    ("operator", "DELETE", "/datasets/none:1", None, 404, NO),
    ("operator", "DELETE", "/datasets/none", None, 400, "which version"),
    ("operator", "POST", "/datasets", {"name": "x"}, 400, "multipart/form-data"),
    ("operator", "POST", "/runs", {"model": "m", "dataset": "none", "target": "y"}, 404, NO),
    ("operator", "POST", "/runs", {}, 400, "The 'model' of train must be a text"),
    ("viewer", "POST", "/runs", {}, 403, "As viewer you may not"),
    ("viewer", "GET", "/models", None, 200, "[]"),
    ("viewer", "GET", "/models/none", None, 404, NO),
    ("viewer", "GET", "/models/none/versions", None, 404, NO),
    ("viewer", "GET", "/models/none/report", None, 404, NO),
    ("approver", "POST", "/models/none/export", None, 404, NO),
    ("approver", "POST", "/models/none/approval", {"reason": "long enough"}, 404, NO),
    ("operator", "DELETE", "/models/none:1", None, 404, NO),
    ("viewer", "GET", "/deployments", None, 200, "[]"),
    ("viewer", "GET", "/deployments/none", None, 404, NO),
    ("operator", "POST", "/deployments", {"model": "none"}, 404, NO),
    ("operator", "POST", "/deployments/none/rollback", None, 404, NO),
    ("operator", "DELETE", "/deployments/none", None, 404, NO),
    ("viewer", "POST", "/predictions", {"model": "none", "rows": []}, 503, "not"),
    ("operator", "GET", "/models/none/predictions", None, 404, NO),
    ("viewer", "GET", "/models/none/predictions", None, 403, "As viewer you may not"),
    ("operator", "GET", "/predictions/none", None, 404, "There is no kept prediction"),
    ("viewer", "GET", "/traffic?hours=1", None, 200, '"series"'),
    ("viewer", "GET", "/traffic?hours=0", None, 400, "from 0.1 to"),
    ("viewer", "GET", "/traffic?model=none", None, 404, NO),
    ("viewer", "GET", "/models/none/drift", None, 404, NO),
    ("viewer", "GET", "/alerts", None, 200, "[]"),
    ("viewer", "GET", "/alerts?all=true", None, 200, "[]"),
    ("viewer", "GET", "/alerts?all=maybe", None, 400, "must be true or false"),
    ("operator", "POST", "/alerts/7/acknowledgement", None, 404, NO),
    ("operator", "POST", "/alerts/7/resolution", None, 404, NO),
    ("operator", "POST", "/alerts/x/resolution", None, 400, "alerts have numbers"),
    ("viewer", "POST", "/alerts/7/resolution", None, 403, "As viewer you may not"),
    ("viewer", "GET", "/jobs", None, 200, "[]"),
    ("viewer", "GET", "/jobs/none", None, 404, NO),
    ("operator", "GET", "/jobs/none/log", None, 404, NO),
    ("operator", "POST", "/jobs/none/cancel", None, 404, NO),
    ("approver", "GET", "/tokens", None, 200, "["),
    ("admin", "POST", "/tokens", {}, 400, "at least one model, or for a role"),
    ("admin", "POST", "/tokens", {"role": "admin"}, 400, "one of viewer, operator, approver"),
    ("admin", "POST", "/tokens", {"models": ["none"]}, 400, NO),
    ("admin", "DELETE", "/tokens/none", None, 404, NO),
    ("viewer", "GET", "/audit?limit=1", None, 200, '"action"'),
    ("viewer", "GET", "/audit?limit=x", None, 400, "must be a number"),
    ("viewer", "GET", "/audit?limit=0", None, 400, "from 1 to 10000"),
    ("viewer", "GET", "/audit?limit=nan", None, 400, "from 1 to 10000"),
    ("viewer", "GET", "/audit/verification", None, 200, '"ok":true'),
    ("approver", "POST", "/audit/export", None, 200, '"digest"'),
    ("admin", "GET", "/users", None, 200, '"must_change":false'),
    ("admin", "POST", "/users", {"name": "eve", "role": "owner"}, 400, "one of viewer"),
    ("admin", "POST", "/users", {"name": "a\u202eb", "role": "viewer"}, 400, "name of a user can't be"),
    ("admin", "POST", "/users", {"name": "ADMIN", "role": "viewer"}, 409, "a user 'admin' already"),
    ("admin", "PATCH", "/users/none", {"role": "viewer"}, 404, NO),
    ("admin", "POST", "/users", {"name": "eve"}, 400, "The 'role' of user.add must be a text"),
    ("admin", "PATCH", "/users/viewer", {}, 400, "The 'role' of user.role must be a text"),
    ("admin", "PATCH", "/users/admin", {"role": "viewer"}, 409, "last admin"),
    ("admin", "DELETE", "/users/admin", None, 409, "last admin"),
    ("admin", "POST", "/users/none/password", None, 404, NO),
    ("viewer", "GET", "/roles", None, 200, '"meaning"'),
    ("viewer", "GET", "/sessions", None, 200, '"current":true'),
    ("viewer", "DELETE", "/sessions/none", None, 404, NO),
    ("viewer", "POST", "/account/password", {"old": "x", "new": "y"}, 403, "not your present password"),
    ("viewer", "GET", "/egress", None, 200, '"rules":['),
    ("viewer", "POST", "/egress/rules", {"address": "a.example", "purpose": "x"}, 403, "As viewer"),
    ("admin", "POST", "/egress/rules", {"address": "a.example"}, 400, "The 'purpose' of egress.allow"),
    ("admin", "POST", "/egress/rules", {"address": "*.com", "purpose": "x"}, 400, "half the internet"),
    ("admin", "POST", "/egress/rules", {"address": "a.example", "purpose": "x"}, 201, '"a.example:443"'),
    ("admin", "DELETE", "/egress/rules/none.example:7", None, 404, NO),
    ("admin", "POST", "/egress/test", {"url": "https://a.example/"}, 503, "does not answer"),
    ("admin", "POST", "/egress/test", {"url": "a.example"}, 400, "no URL"),
    ("viewer", "GET", "/session", None, 200, '"role":"viewer"'),
    ("nobody", "GET", "/openapi.json", None, 200, '"openapi":"3.1.0"'),
    ("nobody", "GET", "/status", None, 401, "signed in"),
    ("nobody", "POST", "/session", {"name": "x", "password": "y"}, 401, "name or the password is wrong"),
    ("nobody", "POST", "/session", {"name": "x"}, 400, "'password' must be a text"),
    ("nobody", "POST", "/setup", {"code": "x"}, 409, "set up already"),
    ("admin", "GET", "/nowhere", None, 404, "There is nothing at this address"),
    ("admin", "PUT", "/models", {}, 405, "does not take that kind of request"),
]  # fmt: skip


@pytest.fixture(scope="module")
def callers(site: Served) -> Iterator[dict[str, httpx.Client]]:
    made = {role: site.browser(role) for role in ("viewer", "operator", "approver", "admin")}
    yield made | {"nobody": site.nobody}
    for client in made.values():
        client.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one[0]} {one[1]} {one[2]} {one[4]}")
def test_a_route(callers: dict[str, httpx.Client], scenario: tuple[str, str, str, Any, int, str]) -> None:
    who, method, path, body, status, holds = scenario
    reply = callers[who].request(method, f"/api/v1{path}", json=body)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert holds.replace('":', '":') in reply.text.replace('": ', '":').replace("\\u2028", ""), reply.text
    if status >= 400:
        told = reply.json()
        assert set(told) == {"error", "hint"}
        assert told["error"].endswith(".")
        assert told["hint"]


def test_every_route_has_a_scenario() -> None:
    told = {(method, re.sub(r"\?.*", "", path)) for _, method, path, *_ in SCENARIOS}
    for route in ROUTES:
        pattern = re.compile(re.sub(r"{\w+}", "[^/]+", route.path) + "$")
        there = any(method == route.method and pattern.match(path) for method, path in told)
        assert there or route.verb not in VERBS or route.verb.startswith("certificate."), route


def test_the_document_has_every_route_and_nothing_else(site: Served) -> None:
    found = site.nobody.get("/api/v1/openapi.json").json()
    documented = {
        (method.upper(), f"/api/v1{path}") for path, item in found["paths"].items() for method in item
    }
    served = set()
    for rule in site.site.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/") and not rule.rule.endswith("openapi.json"):
            path = rule.rule.replace("<", "{").replace(">", "}")
            served |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert documented == served


def test_the_document_is_openapi(site: Served) -> None:
    """OpenAPI 3.1, section 4.8: what every object must have, and that all references lead somewhere."""
    found = site.nobody.get("/api/v1/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(found["info"])
    assert set(found) <= {"openapi", "info", "servers", "security", "paths", "components", "tags"}
    ids: list[str] = []
    for path, item in found["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in {"get", "put", "post", "delete", "patch"}
            assert operation["summary"]
            assert operation["responses"]
            ids += [operation["operationId"]] if "operationId" in operation else []
            named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            for one in operation.get("parameters", []):
                assert one["in"] != "path" or one["required"] is True
                assert isinstance(one["schema"], dict)
            for status, response in operation["responses"].items():
                assert status == "default" or re.fullmatch(r"[1-5]\d\d", status)
                assert response["description"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                assert set(schema["required"]) <= set(schema["properties"])
    assert len(ids) == len(set(ids))
    for requirement in found["security"]:
        assert set(requirement) <= set(found["components"]["securitySchemes"])
    for reference in re.findall(r'"\$ref":\s*"#/([^"]+)"', json.dumps(found)):
        at: Any = found
        for step in reference.split("/"):
            at = at[step]


WRONG: list[Any] = [
    None, True, 7, -1, 1.5, 10**30, "", "x", "\ud800", "\0", "a" * 10_000, [], [1], ["x", None], [["x"]],
    ["\ud800"], {}, {"a": 1}, {"a": {"b": []}},
]  # fmt: skip


def address(route: Route) -> str:
    return "/api/v1" + re.sub(r"{\w+}", "nothere", route.path)


HERE = [one for one in ROUTES if one.verb in VERBS and not one.verb.startswith("certificate.")]


@pytest.mark.parametrize("route", [one for one in HERE if one.body], ids=lambda one: one.verb)
def test_a_field_of_the_wrong_kind_is_told(callers: dict[str, httpx.Client], route: Route) -> None:
    """Each field with each wrong value, the others as they may be: never a 500."""
    good = {name: "none" if schema.get("type") == "string" else None for name, schema in route.body.items()}
    for name in route.body:
        for value in WRONG:
            if route.method == "GET":
                plain = value if isinstance(value, str) and value != "\ud800" else "x"
                reply = callers["admin"].get(address(route), params={name: plain})
            else:
                body = json.dumps(good | {name: value})
                reply = callers["admin"].request(route.method, address(route), content=body)
            assert reply.status_code < 500 or (route.verb, reply.status_code) == ("predict", 503), (
                f"{name}={value!r}: {reply.text}"
            )


BODIES = {
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b'{"name":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a number that is too long": b'{"seed":' + b"9" * 5000 + b"}",
    "infinity": b'{"seed": 1e999, "budget": -Infinity, "limit": NaN}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "half a pair": b'{"name": "\\ud800", "password": "\\udfff", "code": "\\ud800", "model": "\\ud800"}',
    "half a pair as a name": b'{"\\ud800": 1}',
    "nothing": b"",
    "spaces": b"   ",
    "a text": b'"x"',
    "null": b"null",
    "two objects": b"{}{}",
    "the same name twice": b'{"name": "a", "name": 7}',
    "a name that is special": b'{"__class__": "x", "self": 1, "caller": {"role": "owner"}}',
    "a file": b"PK\x03\x04" + b"\0" * 1000,
}


# they take no body, and do what they do whatever comes
BARE = ("/audit/export", "/models/{model}/export", "/recovery")


@pytest.mark.parametrize("what", BODIES)
def test_a_hostile_body_is_only_a_bad_one(callers: dict[str, httpx.Client], what: str) -> None:
    routes = [(one.method, address(one)) for one in HERE if one.method != "GET" and one.path not in BARE]
    entries = [("POST", "/api/v1/session"), ("POST", "/api/v1/setup")]
    for who, some in (("admin", routes), ("nobody", entries)):
        for method, path in some:
            reply = callers[who].request(
                method, path, content=BODIES[what], headers={"Content-Type": "application/json"}
            )
            told = f"{method} {path}: {reply.text}"
            assert reply.status_code in (400, 401, 403, 404, 409, 413, 429, 503), told
            assert set(reply.json()) == {"error", "hint"}, told


def test_the_set_up_takes_no_nonsense(fresh: Served) -> None:
    for content in BODIES.values():
        reply = fresh.nobody.post(
            "/api/v1/setup", content=content, headers={"Content-Type": "application/json"}
        )
        assert reply.status_code in (400, 403, 413), reply.text


def test_arguments_in_the_address_count_more_than_those_in_the_body(callers: dict[str, httpx.Client]) -> None:
    """Else a rule about addresses in front of the appliance could be talked around."""
    reply = callers["admin"].patch("/api/v1/users/nothere", json={"user": "viewer", "role": "admin"})
    assert (reply.status_code, "'nothere'" in reply.text) == (404, True)


def test_a_whole_life_of_a_session(site: Served) -> None:
    with httpx.Client(base_url=f"{site.url}/api/v1", timeout=30) as client:
        made = client.post("/session", json={"name": "viewer", "password": PASSWORD}).json()
        assert client.delete("/session").status_code == 403  # the cookie alone does not do it
        token = {"X-CSRF-Token": made["csrf"]}
        assert client.get("/session").json()["csrf"] == made["csrf"]
        cookie = dict(client.cookies)
        assert client.delete("/session", headers=token).json() == {"ended": True}
        assert dict(client.cookies) == {}
        assert httpx.get(f"{site.url}/api/v1/session", cookies=cookie).status_code == 401
