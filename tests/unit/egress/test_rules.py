"""Rules for calls out: what they cover, and what is no rule."""

from __future__ import annotations

import pytest

from appliance.egress.rules import Rule, allowed, inside, parse
from appliance.errors import BadInput

GOOD = {
    "api.example.com": Rule("api.example.com", 443),
    " API.Example.com.:8443 ": Rule("api.example.com", 8443),
    "*.example.com": Rule("*.example.com", 443),
    "192.168.1.20:8080": Rule("192.168.1.20", 8080),
    "127.0.0.1:80": Rule("127.0.0.1", 80),
    "2001:DB8::1": Rule("2001:db8::1", 443),
    "[2001:db8:0::1]:8080": Rule("2001:db8::1", 8080),
    "::ffff:192.168.1.20": Rule("192.168.1.20", 443),
    "xn--mnchen-3ya.example": Rule("xn--mnchen-3ya.example", 443),
    "till": Rule("till", 443),
}
BAD = {
    "": "neither a name nor",
    "*": "neither a name nor",
    "*.com": "half the internet",
    "*.*.example.com": "or is no name",
    "a.*.example.com": "neither a name nor",
    "münchen.example": "neither a name nor",
    "https://example.com": "no port",
    "example.com/path": "no host and port",
    "me@example.com": "no host and port",
    "example.com:": "no port",
    "example.com:0": "no port",
    "example.com:65536": "no port",
    "example.com:٤٤٣": "no port",
    "example.com:80:80": "neither a name nor",
    "localhost": "this machine itself",
    "0.0.0.0": "no address of one machine",
    "224.0.0.1:443": "no address of one machine",
    "fe80::1%eth0": "no port",
    "300.1.1.1": "neither a name nor",
    "example .com": "neither a name nor",
    "a\nb": "neither a name nor",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_rule(text: str) -> None:
    assert parse(text) == GOOD[text]
    assert parse(str(GOOD[text])) == GOOD[text], "what is shown can be typed"


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_rule_is_told(text: str) -> None:
    with pytest.raises(BadInput, match=BAD[text]) as told:
        parse(text)
    assert told.value.hint


RULES = [parse(one) for one in ("api.example.com", "*.example.org:8443", "192.168.1.20", "[2001:db8::1]:80")]


@pytest.mark.parametrize(
    ("host", "port", "verdict"),
    [
        ("api.example.com", 443, True),
        ("API.example.com.", 443, True),
        ("api.example.com", 80, False),
        ("example.com", 443, False),
        ("x.api.example.com", 443, False),
        ("api.example.com.evil.net", 443, False),
        ("evilapi.example.com", 443, False),
        ("a.example.org", 8443, True),
        ("a.b.example.org", 8443, True),
        ("example.org", 8443, False),
        (".example.org", 8443, False),
        ("evilexample.org", 8443, False),
        ("192.168.1.20", 443, True),
        ("::ffff:192.168.1.20", 443, True),
        ("192.168.1.2", 443, False),
        ("2001:0db8::0001", 80, True),
        ("", 443, False),
    ],
)
def test_what_rules_cover(host: str, port: int, verdict: bool) -> None:
    assert allowed(RULES, host, port) is verdict
    assert not allowed([], host, port)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254",
     "fe80::1", "fe80::1%eth0", "224.0.0.251", "ff02::fb", "198.51.100.7", "nonsense"],
)  # fmt: skip
def test_where_no_name_may_lead(address: str) -> None:
    assert inside(address, own={"198.51.100.7"})


@pytest.mark.parametrize("address", ["8.8.8.8", "192.168.1.20", "10.0.0.1", "2001:db8::1", "fd00::1"])
def test_where_names_may_lead(address: str) -> None:
    assert not inside(address, own={"198.51.100.7"})
