"""Which address speaks TLS, what a program on the machine uses, and how links are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance import addresses, home
from appliance.security import certificates
from appliance.verbs.certificates import links, own_address


@pytest.mark.parametrize(
    ("listening", "host", "tls"),
    [
        (["127.0.0.1"], "127.0.0.1", False),
        (["192.168.1.20", "::1"], "::1", False),
        (["192.168.1.20", "10.0.0.5"], "192.168.1.20", True),
        (["0.0.0.0"], "127.0.0.1", True),
        (["::"], "127.0.0.1", True),
    ],
)
def test_what_a_program_on_this_machine_uses(listening: list[str], host: str, tls: bool) -> None:
    assert addresses.nearest(listening) == (host, tls)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("falaj.lan", True),
        ("box-7", True),
        ("xn--mgbh0fb.lan", True),
        ("-box", False),
        ("box_7", False),
        ("BOX", False),
        ("a" * 64, False),
        ("192.168.1", False),
        ("", False),
        ("box..lan", False),
        ("فلج", False),
    ],
)
def test_what_is_a_name(name: str, good: bool) -> None:
    assert addresses.is_name(name) is good


def test_links_of_every_kind_of_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("FALAJ_TLS_NAMES", "falaj.lan, 192.168.77.1, fd77::1")
    monkeypatch.setenv("FALAJ_ADMIN_PORT", "7600")

    def told(host: str) -> tuple[str, list[str]]:
        monkeypatch.setenv("FALAJ_ADMIN_HOST", host)
        opened = home.create(tmp_path / "home")
        certificates.tend(opened)
        return own_address(opened, "admin"), links(opened, "admin")

    assert told("127.0.0.1, ::1") == ("http://127.0.0.1:7600", ["http://127.0.0.1:7600", "http://[::1]:7600"])
    own, every = told("192.168.77.1, 127.0.0.1")
    assert own == every[0] == "http://127.0.0.1:7600"
    assert {"https://falaj.lan:7600", "https://192.168.77.1:7600"} < {*every}
    assert "https://[fd77::1]:7600" not in every, "nothing listens there"
    own, every = told("::")
    assert own == "https://127.0.0.1:7600"
    assert {"https://falaj.lan:7600", "https://192.168.77.1:7600", "https://[fd77::1]:7600"} < {*every}
    assert not [link for link in every if "localhost" in link or "127.0.0.1" in link]
