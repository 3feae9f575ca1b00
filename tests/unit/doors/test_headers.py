"""Every answer of every route tells browsers: nothing from elsewhere, no frames, nothing kept."""

from __future__ import annotations

import re

import httpx
import pytest

from appliance.doors import headers
from tests.unit.doors.serving import PASSWORD, Served

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def addresses(site: Served) -> list[tuple[str, str]]:
    """Every route with every method, and some that are none."""
    found = [("GET", "/nowhere"), ("GET", "/api/v1/nowhere"), ("PUT", "/"), ("BREW", "/healthz")]
    for rule in site.site.url_map.iter_rules():
        path = re.sub("<[^>]*>", "a", rule.rule)
        found += [(method, path) for method in sorted(rule.methods or ())]
    return found


def check(reply: httpx.Response) -> None:
    told = f"{reply.request.method} {reply.request.url}"
    for name, value in EXPECTED.items():
        assert reply.headers.get(name) == value, f"{told}: {name}"
    policy = reply.headers["Content-Security-Policy"]
    assert policy == headers.PAGE, told
    assert reply.headers.get_list("Content-Security-Policy") == [policy]
    kept = reply.headers["Cache-Control"]
    assert kept == "no-store" or "/assets/" in told or "/favicon.ico" in told, told
    for cookie in reply.headers.get_list("Set-Cookie"):
        assert "HttpOnly" in cookie, told
        assert "SameSite=Strict" in cookie, told


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_has_them(site: Served, accept: str) -> None:
    with site.browser("viewer", Accept=accept) as browser:
        for method, path in addresses(site):
            if "sign-out" not in path and (method, path) != ("DELETE", "/api/v1/session"):
                check(browser.request(method, path))
                check(site.nobody.request(method, path, headers={"Accept": accept}))


def test_teeth_without_them_it_is_seen(site: Served) -> None:
    after = site.site.after_request_funcs[None]
    held = list(after)
    after.clear()
    try:
        with pytest.raises((AssertionError, KeyError)):
            check(site.nobody.get("/sign-in"))
    finally:
        after.extend(held)


def test_before_the_set_up_too(fresh: Served) -> None:
    for method, path in addresses(fresh):
        check(fresh.nobody.request(method, path, headers={"Accept": "text/html"}))


def test_the_policy_allows_no_inline_script_and_no_other_site() -> None:
    rules = dict(rule.split(None, 1) for rule in headers.PAGE.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["style-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["form-action"] == "'self'"
    assert not re.search(r"unsafe|https?:|\*", headers.PAGE)
    assert "sandbox" in headers.REPORT
    assert "script" not in headers.REPORT


def test_pages_hold_nothing_that_the_policy_would_stop(site: Served) -> None:
    with site.browser("admin", Accept="text/html") as browser:
        for _, path in [one for one in addresses(site) if one[0] == "GET"]:
            page = browser.get(path)
            if page.headers["content-type"].startswith("text/html"):
                assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page.text), path
                assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text), path
                assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", page.text), path


def test_the_cookie_of_a_session_is_for_this_port_and_no_script(site: Served) -> None:
    reply = site.nobody.post("/api/v1/session", json={"name": "viewer", "password": PASSWORD})
    (cookie,) = reply.headers.get_list("Set-Cookie")
    assert cookie.startswith(f"{site.cookie}=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in cookie.split("; ")
    assert "domain" not in cookie.lower()
    assert "expires" not in cookie.lower()  # gone with the browser
    site.nobody.cookies.clear()


def test_over_tls_the_cookie_is_bound_to_the_host(site: Served) -> None:
    client = site.site.test_client()
    reply = client.post(
        "/api/v1/session", json={"name": "viewer", "password": PASSWORD}, base_url="https://127.0.0.1:7600"
    )
    (cookie,) = reply.headers.get_all("Set-Cookie")
    assert cookie.startswith("__Host-falaj-7600=")
    assert "Secure" in cookie.split("; ")


def test_who_serves_is_not_told(site: Served) -> None:
    for reply in (site.nobody.get("/nowhere"), site.nobody.get("/sign-in")):
        assert "x-powered-by" not in reply.headers
        assert "traceback" not in reply.text.lower()
