"""The broker: only what a rule allows, only where the name was found to lead, never for longer than told."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from appliance.egress import client, counts, folder, outward, rules
from appliance.egress.broker import MOST_CALLS, Broker
from appliance.egress.rules import Rule
from appliance.errors import BadInput, DeadlineExceeded, FalajError, Forbidden, TooLarge, Unavailable
from appliance.security.names import Names
from tests.unit.egress.outside import Server, running

Allow = Callable[..., None]


def counted(place: Path) -> dict[str, dict[str, int]]:
    """Calls by verdict, with the bytes."""
    told = client.ask(place, "counts", acknowledged="")["counts"]
    return {one["verdict"]: {name: one[name] for name in ("calls", "bytes_out", "bytes_in")} for one in told}


def named(place: Path, monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Have the resolver say these addresses of `outside.example`, one a question; what it was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, *more: Any, **others: Any) -> Any:
        if host != "outside.example":
            return real(host, *more, **others)
        asked.append(host)
        address = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_an_allowed_address_is_called(broker: Broker, place: Path, allow: Allow, outside: Server) -> None:
    allow(outside.address)
    headers = {"Authorization": "Bearer secret", "Content-Type": "text/csv"}
    answer = client.request(place, "POST", f"http://{outside.address}/in?day=1", headers, b"a,b\n1,2\n")
    assert (answer.status, answer.body) == (200, b"a,b\n1,2\n")
    assert ("X-Kept", "yes") in answer.headers
    ((method, path, sent, body),) = outside.seen
    assert (method, path, body) == ("POST", "/in?day=1", b"a,b\n1,2\n")
    assert (sent["Host"], sent["Authorization"]) == (outside.address, "Bearer secret")
    found = counted(place)["done"]
    assert found["calls"] == 1
    assert found["bytes_out"] > 8
    assert found["bytes_in"] > 8
    assert client.request(place, "HEAD", f"http://{outside.address}/").body == b""


def test_anything_else_is_refused_and_counted(broker: Broker, place: Path, outside: Server) -> None:
    for _ in range(3):
        with pytest.raises(Forbidden) as told:
            client.request(place, "GET", f"http://{outside.address}/")
    assert told.value.message == f"{outside.address} is not allowed."
    assert told.value.hint == f"Allow it with: falaj egress allow {outside.address}"
    assert counted(place) == {"refused": {"calls": 3, "bytes_out": 0, "bytes_in": 0}}
    assert outside.seen == []


def test_without_the_check_it_would_be_called(place: Path, outside: Server) -> None:
    """Teeth: the very same call, with the rules switched off."""

    class Careless(Broker):
        def allows(self, host: str, port: int) -> bool:
            return True

    with running(Careless(place, lambda: Names((), ()))):
        assert client.request(place, "GET", f"http://{outside.address}/").status == 200
    assert len(outside.seen) == 1


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"rules": 7}', '{"rules": [{"host": "127.0.0.1"}]}']
)
def test_rules_that_can_not_be_read_allow_nothing(
    broker: Broker, place: Path, allow: Allow, outside: Server, content: str | None
) -> None:
    allow(outside.address)
    assert client.request(place, "GET", f"http://{outside.address}/").status == 200
    (place / "allowed.json").unlink()
    if content is not None:
        (place / "allowed.json").write_text(content)
    with pytest.raises(Forbidden):
        client.request(place, "GET", f"http://{outside.address}/")
    assert len(outside.seen) == 1


def test_a_name_may_not_lead_inside(
    broker: Broker, place: Path, outside: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with a rule for it; with the check switched off the server is called."""
    folder.write_allowed(
        place, [Rule(name, outside.server_port) for name in ("localhost", "outside.example")]
    )
    url = f"http://localhost:{outside.server_port}/"
    with pytest.raises(Forbidden, match=r"leads to .*this machine itself") as told:
        client.request(place, "GET", url)
    assert "allow the address itself" in told.value.hint
    for address in ("127.0.0.1", "169.254.169.254", "198.51.100.7", "0.0.0.0", "224.0.0.1"):
        with monkeypatch.context() as patch:
            named(place, patch, address)
            with pytest.raises(Forbidden, match=f"leads to {address}"):
                client.request(place, "GET", f"http://outside.example:{outside.server_port}/")
    assert counted(place)["refused"]["calls"] == 5
    assert outside.seen == []
    monkeypatch.setattr(outward, "inside", lambda address, own: "")
    assert client.request(place, "GET", url).status == 200
    assert len(outside.seen) == 1


def test_the_address_that_was_judged_is_the_one_that_is_called(
    broker: Broker, place: Path, outside: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere the second time gets no second time."""
    folder.write_allowed(place, [Rule("outside.example", outside.server_port)])
    asked = named(place, monkeypatch, "192.0.2.1", "127.0.0.1")
    with pytest.raises((Unavailable, DeadlineExceeded)):
        client.request(place, "GET", f"http://outside.example:{outside.server_port}/", deadline=1.0)
    assert asked == ["outside.example"]
    assert outside.seen == []


def test_a_refused_name_is_not_even_looked_up(
    broker: Broker, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = named(place, monkeypatch, "192.0.2.1")
    with pytest.raises(Forbidden):
        client.request(place, "GET", "https://outside.example/secret-in-a-path")
    assert asked == []


def test_a_redirect_comes_back_and_is_not_followed(
    broker: Broker, place: Path, allow: Allow, outside: Server
) -> None:
    allow(outside.address)
    answer = client.request(place, "GET", f"http://{outside.address}/away")
    assert (answer.status, dict(answer.headers)["Location"]) == (302, "/elsewhere")
    assert len(outside.seen) == 1


def test_no_proxy_of_the_environment_is_used(
    broker: Broker, place: Path, allow: Allow, outside: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    allow(outside.address)
    assert client.request(place, "GET", f"http://{outside.address}/").status == 200


def test_tls_checks_who_answers(
    broker: Broker, place: Path, allow: Allow, secure: Callable[..., Server]
) -> None:
    good, another = secure("127.0.0.1"), secure("192.168.7.7")
    allow(good.address, another.address)
    assert client.request(place, "GET", f"https://{good.address}/").body == b"hello"
    with pytest.raises(Unavailable, match="a certificate that is not trusted"):
        client.request(place, "GET", f"https://{another.address}/")
    broker.trust = outward.ssl.create_default_context  # the system's authorities alone
    with pytest.raises(Unavailable, match="a certificate that is not trusted"):
        client.request(place, "GET", f"https://{good.address}/")
    assert [len(one.seen) for one in (good, another)] == [1, 0]
    assert counted(place)["failed"]["calls"] == 1, "one of each host"


@pytest.mark.parametrize("path", ["/drip", "/silent", "/tls"])
def test_a_slow_server_ends_with_the_deadline(
    broker: Broker, place: Path, allow: Allow, outside: Server, path: str
) -> None:
    """One that sends a byte now and then, one that says nothing, one that never begins TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = outside.address if path == "/drip" else f"127.0.0.1:{silent.getsockname()[1]}"
        allow(address)
        scheme = "https" if path == "/tls" else "http"
        with pytest.raises(DeadlineExceeded, match="did not answer in 1 seconds"):
            client.request(place, "GET", f"{scheme}://{address}{path}", deadline=1.0)
    assert counted(place)["failed"]["calls"] == 1


def test_an_answer_without_end_is_cut(broker: Broker, place: Path, allow: Allow, outside: Server) -> None:
    allow(outside.address)
    with pytest.raises(TooLarge, match="more than 16 MiB"):
        client.request(place, "GET", f"http://{outside.address}/large")
    with pytest.raises(TooLarge, match="More than 16 MiB"):
        client.request(place, "POST", f"http://{outside.address}/", body=bytes((16 << 20) + 1))
    large = bytes(6 << 20)
    with ThreadPoolExecutor(6) as pool:  # more than are held at once
        found = pool.map(
            lambda _: client.request(place, "POST", f"http://{outside.address}/", body=large), range(6)
        )
    assert [one.body == large for one in found] == [True] * 6


def test_nobody_there(broker: Broker, place: Path, allow: Allow) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    allow(address)
    with pytest.raises(Unavailable, match="could not be asked: Connection refused"):
        client.request(place, "GET", f"http://{address}/")


def test_many_at_once(broker: Broker, place: Path, allow: Allow, outside: Server) -> None:
    """As many as are let in are under way together: the server answers none before all of them are there."""
    allow(outside.address)
    outside.together = threading.Semaphore(0)
    with ThreadPoolExecutor(MOST_CALLS) as pool:
        asked = [
            pool.submit(client.request, place, "GET", f"http://{outside.address}/{number}", deadline=60.0)
            for number in range(MOST_CALLS)
        ]
        while len(outside.seen) < MOST_CALLS:
            assert not any(one.done() for one in asked)
        assert client.is_ready(place) == os.getpid(), "what needs nobody else is answered meanwhile"
        outside.together.release(MOST_CALLS)
        assert {one.result().status for one in asked} == {200}
    assert {path for _, path, *_ in outside.seen} == {f"/{number}" for number in range(MOST_CALLS)}
    assert counted(place)["done"]["calls"] == MOST_CALLS


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "ftp://example.com/"}, "no URL of a web address"),
    ({"url": "example.com"}, "no URL of a web address"),
    ({"url": "https:///x"}, "no URL of a web address"),
    ({"url": "https://2130706433/"}, "no URL of a web address"),
    ({"url": "https://a b/"}, "no URL"),
    ({"url": "https://example.com/\r\nX: y"}, "no URL"),
    ({"url": "https://example.com:99999/"}, "no URL"),
    ({"url": "https://me:word@example.com/"}, "a name and a password"),
    ({"url": "http://example.com:443/"}, "does not speak plain HTTP"),
    ({"url": 7}, "no URL"),
    ({"method": "CONNECT"}, "no method"),
    ({"method": "GET / HTTP/1.1\r\nX"}, "no method"),
    ({"headers": ["x"]}, "names with texts"),
    ({"headers": {"x": 1}}, "names with texts"),
    ({"headers": {"host": "elsewhere.example"}}, "can't be chosen"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "can't be chosen"),
    ({"body": "nonsense!"}, "base64"),
    ({"body": 7}, "base64"),
    ({"deadline": 0}, "no number of seconds"),
    ({"deadline": 1e9}, "no number of seconds"),
    ({"deadline": "x"}, "no number of seconds"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_no_request(broker: Broker, place: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        client.ask(place, "request", **({"method": "GET", "url": "https://example.com/"} | wrong))
    assert counted(place) == {}


def test_a_header_with_a_line_end_is_not_sent(
    broker: Broker, place: Path, allow: Allow, outside: Server
) -> None:
    allow(outside.address)
    with pytest.raises(BadInput, match="header"):
        client.request(place, "GET", f"http://{outside.address}/", {"X": "a\r\nHost: elsewhere"})
    assert outside.seen == []


def test_nonsense_on_the_socket_does_no_harm(broker: Broker, place: Path) -> None:
    for content in (b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\2{}", b"\0\0\0\1x"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder.socket_path(place)))
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
    assert client.is_ready(place) == os.getpid()
    assert stat.S_IMODE(folder.socket_path(place).stat().st_mode) == 0o600


def test_a_batch_is_the_same_until_it_is_acknowledged() -> None:
    kept = counts.Counts()
    assert kept.hand_out("") == {"batch": "", "counts": []}
    kept.add("a.example", 443, counts.DONE, 1, 2)
    first = kept.hand_out("")
    kept.add("a.example", 443, counts.DONE, 10, 20)
    assert kept.hand_out("") == first == kept.hand_out("another")
    assert first["counts"][0] | {"calls": 1, "bytes_in": 2} == first["counts"][0]
    second = kept.hand_out(first["batch"])
    assert second["batch"] != first["batch"]
    assert second["counts"][0]["bytes_in"] == 20
    assert kept.hand_out(second["batch"])["counts"] == []


def test_counts_are_bounded() -> None:
    kept = counts.Counts()
    for number in range(3 * counts.MOST):
        kept.add(f"n{number}.example", 443, counts.REFUSED)
    found = kept.hand_out("")["counts"]
    assert len(found) == counts.MOST + 1
    assert sum(one["calls"] for one in found) == 3 * counts.MOST


def test_who_does_not_run_is_told_plainly(place: Path) -> None:
    with pytest.raises(Unavailable) as told:
        client.request(place, "GET", "https://example.com/")
    assert told.value.hint
    assert client.is_ready(place) is None
    assert client.is_ready(place / "nowhere") is None


def test_the_folder(tmp_path: Path) -> None:
    place = tmp_path / "x-egress"
    folder.prepare(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    folder.write_allowed(place, [rules.parse("example.com")])
    assert stat.S_IMODE((place / "allowed.json").stat().st_mode) == 0o640
    assert json.loads((place / "allowed.json").read_text()) == {
        "rules": [{"host": "example.com", "port": 443}]
    }
    place.chmod(0o2750)
    folder.prepare(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o2750, "as the package made it"
    folder.clear(place)
    assert not place.exists()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(FalajError, match="somebody else"):
        folder.prepare(tmp_path / "link")
    with pytest.raises(FalajError, match="could not be put in force"):
        folder.write_allowed(place, [])
