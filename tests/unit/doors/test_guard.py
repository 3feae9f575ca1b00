"""What happens before any view: forged requests, foreign names, odd addresses. Each attack also with
the check taken away, where it succeeds."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from appliance.doors import guard
from appliance.registry import users
from appliance.security.sessions import csrf_token
from tests.unit.doors.serving import PASSWORD, Served

FORM = {"name": "eve", "role": "admin"}
MULTIPART = {"name": (None, "eve"), "role": (None, "admin")}
CROSS = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

# (what, the request of another site's page as the victim's browser sends it, whether the true token is in it)
FORGED: dict[str, Callable[[Served, str], dict[str, Any]]] = {
    "a form from another origin": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Origin": "https://evil.example"}},
    "from another port of this machine": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Origin": "http://127.0.0.1:1"}},
    "from nowhere (a sandboxed frame)": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Origin": "null"}},
    "said to be cross-site": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Sec-Fetch-Site": "cross-site"}},
    "said to be same-site": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Sec-Fetch-Site": "same-site"}},
    "an origin that is none": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"Origin": "http://["}},
    "no token": lambda site, token: {"data": FORM},
    "an empty token": lambda site, token: {"data": FORM | {"csrf": ""}},
    "a wrong token": lambda site, token: {"data": FORM | {"csrf": token[:-1] + "x"}},
    "a wrong token in the header, the right one in the form": lambda site, token: {
        "data": FORM | {"csrf": token}, "headers": {"X-CSRF-Token": "x"}},
    "the token of another session": lambda site, token: {
        "data": FORM | {"csrf": csrf_token(site.secret("admin"))}},
    "multipart without a token": lambda site, token: {"files": MULTIPART},
    "multipart with a wrong token": lambda site, token: {"files": MULTIPART | {"csrf": (None, "x")}},
    "plain text that looks like a form": lambda site, token: {
        "content": "name=eve&role=admin", "headers": {"Content-Type": "text/plain"}},
    "JSON without a token": lambda site, token: {"json": FORM},
    "no body": lambda site, token: {},
}  # fmt: skip


def send(site: Served, path: str, what: str) -> httpx.Response:
    secret = site.secret("admin")
    with httpx.Client(base_url=site.url, cookies={site.cookie: secret}, timeout=30) as browser:
        return browser.post(path, **FORGED[what](site, csrf_token(secret)))


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("path", ["/users", "/api/v1/users"])
def test_a_forged_request_is_refused(site: Served, path: str, what: str) -> None:
    reply = send(site, path, what)
    assert reply.status_code == 403, reply.text
    assert "does not come from a page" in reply.text
    assert users.find_or_none(site.app.home.registry, "eve") is None


@pytest.mark.parametrize("what", ["a form from another origin", "no token", "multipart without a token"])
def test_teeth_without_the_check_it_succeeds(
    site: Served, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "check_not_forged", lambda *_: None)
    assert send(site, "/users", what).status_code == 200
    assert users.find(site.app.home.registry, "eve").role == "admin"
    with site.browser("admin") as admin:
        admin.delete("/api/v1/users/eve")


@pytest.mark.parametrize(
    "own",
    [
        lambda site, token: {"data": FORM, "headers": {"X-CSRF-Token": token}},
        lambda site, token: {"data": FORM | {"csrf": token}},
        lambda site, token: {
            "data": FORM | {"csrf": token},
            "headers": {"Sec-Fetch-Site": "same-origin", "Origin": site.url},
        },
    ],
)
def test_our_own_pages_are_let_in(site: Served, own: Callable[[Served, str], dict[str, Any]]) -> None:
    secret = site.secret("admin")
    with httpx.Client(base_url=site.url, cookies={site.cookie: secret}, timeout=30) as browser:
        assert browser.post("/users", **own(site, csrf_token(secret))).status_code == 200
        token = {"X-CSRF-Token": csrf_token(secret)}
        assert browser.delete("/api/v1/users/eve", headers=token).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/users/viewer/password", "/api/v1/users/viewer", "/audit/export"])
def test_multipart_is_no_way_around_the_token(site: Served, path: str, method: str) -> None:
    """Only an upload's form is read later: anywhere else its content type must not excuse it."""
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with httpx.Client(base_url=site.url, cookies={site.cookie: site.secret("admin")}) as browser:
        reply = browser.request(method, path, headers=headers, content=b"--x--\r\n")
    assert reply.status_code in (403, 405), reply.text


def test_an_upload_without_its_token_is_refused_before_the_file_is_read(site: Served) -> None:
    """The file never ends; still there is an answer."""
    for path in ("/datasets", "/api/v1/datasets"):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        connection.putrequest("POST", path)
        connection.putheader("Cookie", f"{site.cookie}={site.secret('admin')}")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(10 << 20))
        connection.endheaders()
        connection.send(b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n')
        connection.send(b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n')
        connection.send(b"a,b\n" * 100_000)
        reply = connection.getresponse()
        assert (reply.status, b"does not come from a page" in reply.read()) == (403, True)
        connection.close()
    assert site.app.home.registry.all("SELECT * FROM jobs") == []


def test_a_token_needs_no_cookie_and_nothing_to_forge(site: Served) -> None:
    with site.program("operator") as program:
        reply = program.post("/api/v1/runs", json={}, headers=CROSS)
        assert (reply.status_code, reply.json()["error"][:11]) == (400, "The 'model'")


def test_a_token_counts_before_a_cookie(site: Served) -> None:
    """So a forged header can't borrow the rights of the cookie, nor the other way round."""
    with site.browser("admin", Authorization="Bearer nonsense") as browser:
        assert browser.get("/api/v1/users").status_code == 401
    for header in ("", "Basic YWRtaW46YWRtaW4=", "Bearer", "bearer x", "Bearer \xe9"):
        with site.browser("admin") as browser:
            reply = browser.get("/api/v1/users", headers={"Authorization": header.encode("latin-1")})
            assert reply.status_code == 401, header


def test_signing_somebody_in_from_another_site_is_refused(site: Served) -> None:
    """Else a victim could be made to work, unawares, in the attacker's account."""
    account = {"name": "viewer", "password": PASSWORD}
    for path in ("/sign-in", "/api/v1/session"):
        for more in ({"data": account}, {"files": {key: (None, value) for key, value in account.items()}}):
            for headers in ({}, CROSS):
                reply = httpx.post(site.url + path, headers=headers, **more)
                assert reply.status_code == 403, (path, more, headers)
                assert "set-cookie" not in reply.headers or "falaj-form" in reply.headers["set-cookie"]
    assert httpx.post(f"{site.url}/api/v1/session", json=account, headers=CROSS).status_code == 403
    assert httpx.post(f"{site.url}/api/v1/session", json=account).status_code == 201


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "[",
             "[::1", "a b", "localhost.", "2130706433", "0x7f000001"],
)  # fmt: skip
def test_another_name_for_this_machine_is_refused(site: Served, host: str) -> None:
    """DNS rebinding: a site of an attacker whose name suddenly leads here."""
    for path in ("/", "/healthz", "/sign-in", "/api/v1/openapi.json"):
        reply = httpx.get(site.url + path, headers={"Host": host})
        assert reply.status_code == 400, (path, reply.text)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:7600", "[::1]:7600", "192.168.1.20"])
def test_its_own_names_and_any_address_are_fine(site: Served, host: str) -> None:
    assert httpx.get(f"{site.url}/sign-in", headers={"Host": host}).status_code == 200


def test_teeth_with_every_name_known_it_is_let_in(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.site.guard, "_names", lambda: {"evil.example"})
    assert httpx.get(f"{site.url}/sign-in", headers={"Host": "evil.example"}).status_code == 200


def test_what_is_not_there_and_what_is_not_allowed(site: Served) -> None:
    with site.browser("admin") as browser:
        for path in ("/nowhere", "/api/v1/nowhere", "/api", "/assets/x/../../etc/passwd", "/%2e%2e/x"):
            assert browser.get(path).status_code == 404, path
        for method, path, allowed in (
            ("PUT", "/users", {"GET", "HEAD", "OPTIONS", "POST"}),
            ("GET", "/sign-out", {"OPTIONS", "POST"}),
            ("POST", "/api/v1/models", {"GET", "HEAD", "OPTIONS"}),
            ("BREW", "/", {"GET", "HEAD", "OPTIONS"}),
        ):
            reply = browser.request(method, path)
            assert reply.status_code == 405, path
            assert {one.strip() for one in reply.headers["allow"].split(",")} == allowed


NEXT = [
    "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "/\n/evil.example", "/\t\\evil.example", "/\\\tevil.example", "javascript:alert(1)", "///evil.example",
    " //evil.example", "http:evil.example", "/\r\nSet-Cookie: a=b", "evil.example", "/%2f/evil.example",
    "/.//evil.example", "/\x00/evil.example", "?\\evil.example", "/\u2028/evil.example", "/@evil.example",
    "//[", "http://[",
]  # fmt: skip


def where(location: str, base: str) -> str:
    """The host that a browser goes to (URL standard: tabs and newlines go, backslashes are slashes)."""
    plain = "".join(sign for sign in location.strip() if sign not in "\t\r\n").replace("\\", "/")
    return urlsplit(urljoin(base, plain)).netloc


@pytest.mark.parametrize("to", NEXT)
def test_a_link_leads_to_no_other_site(site: Served, to: str) -> None:
    with site.browser("viewer") as browser:
        reply = browser.get("/sign-in", params={"next": to})
    assert reply.status_code == 303
    assert where(reply.headers["location"], f"{site.url}/sign-in") == f"127.0.0.1:{site.port}"
    assert "set-cookie" not in reply.headers
    assert all(ord(sign) > 31 for sign in reply.headers["location"])


def test_teeth_some_of_these_lead_away() -> None:
    away = [to for to in NEXT if "[" not in to and where(to, "http://here/sign-in") != "here"]
    assert len(away) >= 8


def test_a_page_inside_is_gone_on_to(site: Served) -> None:
    with site.browser("viewer") as browser:
        for to in ("/models", "/jobs/1?part=2", "/datasets/%D8%B3"):
            assert browser.get("/sign-in", params={"next": to}).headers["location"] == to
    reply = httpx.get(f"{site.url}/jobs/1?part=2", headers={"Accept": "text/html"})
    assert reply.headers["location"] == "/sign-in?next=/jobs/1%3Fpart%3D2"


@pytest.mark.parametrize(
    "path", ["/jobs/a%0d%0aSet-Cookie:%20x=y", "/jobs/x?a=%0d%0aX-Evil:1", "/models/%0aX-Evil:%201"]
)
def test_no_header_is_made_from_an_address(site: Served, path: str) -> None:
    for accept in ("text/html", "application/json"):
        reply = httpx.get(site.url + path, headers={"Accept": accept})
        assert "x-evil" not in reply.headers
        assert "x=y" not in reply.headers.get("set-cookie", "")


def test_reading_changes_nothing(site: Served) -> None:
    """Every GET, as an admin: the tables are the same afterwards, but for when the session was seen."""

    def state() -> dict[str, Any]:
        registry = site.app.home.registry
        tables = [row["name"] for row in registry.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = {name: registry.all(f"SELECT * FROM {name}") for name in tables if name != "audit"}
        for session in kept["sessions"]:
            del session["seen_at"]
        return kept

    with site.browser("admin") as browser:
        before = state()
        for rule in site.site.url_map.iter_rules():
            if "GET" in (rule.methods or ()):
                path = rule.rule
                for name in rule.arguments:
                    path = path.replace(f"<{name}>", "a").replace(f"<path:{name}>", "a")
                for method in ("GET", "HEAD", "OPTIONS"):
                    assert browser.request(method, path).status_code < 504, path
        assert state() == before
