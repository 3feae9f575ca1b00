"""Which certificate is shown: made once, made anew in time, sealed on the disk, and the owner's instead."""

from __future__ import annotations

import datetime
import stat
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance import home as homes
from appliance.errors import BadInput, Corrupted, NotFound
from appliance.home import Home
from appliance.security import certificate_store as store
from appliance.security import certificates
from appliance.security.authority import fingerprint
from appliance.security.certificate_store import Kept
from appliance.security.certificates import Source, judge

NOW = datetime.datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Make = Callable[..., tuple[str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("FALAJ_RUN_DIR", str(tmp_path / "run"))
    return homes.create(tmp_path / "home")


def actions(home: Home) -> list[tuple[str, str]]:
    rows = home.registry.all(
        "SELECT actor, action FROM audit WHERE subject LIKE 'certificate:%' ORDER BY seq"
    )
    return [(row["actor"], row["action"]) for row in rows]


def brought(
    names: tuple[str, ...] = ("falaj.example.com",),
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None = None,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 90 * DAY,
    use: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
) -> tuple[str, str]:
    """A certificate as an owner might bring it, and its key."""
    made = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "falaj")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    if names:
        others = [x509.DNSName(one) for one in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    if use is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    built = builder.sign(made, None if isinstance(made, ed25519.Ed25519PrivateKey) else SHA256())
    text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return built.public_bytes(Encoding.PEM).decode(), text.decode()


def test_it_is_made_once(home: Home) -> None:
    assert certificates.current(home) is None
    first, second = certificates.tend(home, NOW), certificates.tend(home, NOW + DAY)
    assert first == second == certificates.current(home)
    assert first.source is Source.AUTHORITY
    assert actions(home) == [("system", "certificate.authority"), ("system", "certificate.issue")]


def test_two_processes_at_once_make_one(home: Home) -> None:
    made: list[certificates.Shown] = []
    threads = [threading.Thread(target=lambda: made.append(certificates.tend(home, NOW))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({fingerprint(one.certificate) for one in made}) == 1
    assert len(actions(home)) == 2


def test_no_key_lies_open_on_the_disk(home: Home) -> None:
    certificates.tend(home, NOW)
    certificates.use(home, *brought(), "me", NOW)
    for path in (home.path / "tls").iterdir():
        content = path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        assert b"PRIVATE" not in content
        assert b"CERTIFICATE" not in content
        with pytest.raises(ValueError):
            store.Identity.from_pem(content)
    shown = certificates.shown_path(home)
    assert shown.parent == home.run_dir
    assert stat.S_IMODE(shown.stat().st_mode) == 0o600
    authority = store.load(home, Kept.AUTHORITY)
    assert authority is not None
    key = authority.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    every = [path for root in (home.path, home.run_dir) for path in root.rglob("*") if path.is_file()]
    assert not [path for path in every if key in path.read_bytes()], (
        "the authority's key is nowhere in the open"
    )


def test_sealed_files_can_not_be_exchanged_or_changed(home: Home) -> None:
    certificates.tend(home, NOW)
    folder = home.path / "tls"
    sealed = (folder / "authority").read_bytes()
    (folder / "own").write_bytes(sealed)  # a file is bound to its name
    with pytest.raises(Corrupted, match="tls/own"):
        certificates.tend(home, NOW)
    certificates.forget(home, "me")
    (folder / "authority").write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(Corrupted, match="tls/authority") as told:
        certificates.tend(home, NOW)
    assert "remove it" in told.value.hint
    (folder / "authority").unlink()
    assert certificates.tend(home, NOW).source is Source.AUTHORITY


def test_a_damaged_certificate_is_made_anew(home: Home) -> None:
    before = certificates.tend(home, NOW)
    (home.path / "tls" / "certificate").write_bytes(b"x")
    after = certificates.tend(home, NOW)
    assert after.authority == before.authority
    assert after.certificate != before.certificate


@pytest.mark.parametrize("lost", ["certificate", "shown", "temporary"])
def test_a_crash_between_two_steps_is_made_good(home: Home, lost: str) -> None:
    before = certificates.tend(home, NOW)
    if lost == "certificate":  # the authority was there, its certificate not yet
        (home.path / "tls" / "certificate").unlink()
    elif lost == "shown":  # tmpfs after a power cut
        certificates.shown_path(home).unlink()
    else:  # in the middle of a write
        (home.path / "tls" / ".certificate.abcd").write_bytes(b"half")
    after = certificates.tend(home, NOW)
    assert after.authority == before.authority
    assert certificates.shown_path(home).exists()
    assert (after.certificate == before.certificate) is (lost != "certificate")


def test_a_new_authority_whose_certificate_was_not_made_in_time(home: Home) -> None:
    before = certificates.tend(home, NOW)
    store.keep(home, Kept.AUTHORITY, certificates.make_authority(certificates._names(home), NOW), "me", "x")
    after = certificates.tend(home, NOW)
    assert after.authority != before.authority
    after.certificate.verify_directly_issued_by(after.authority)


def test_renewal_with_the_clock(home: Home) -> None:
    """Through three years, a clock that falls back to 1970, and one that runs off to 2060."""
    first = certificates.tend(home, NOW)
    seen = [first.certificate]
    for moment in [NOW + number * DAY for number in range(0, 1000, 30)]:
        shown = certificates.tend(home, moment)
        left = shown.certificate.not_valid_after_utc - moment
        assert left > 120 * DAY
        assert shown.certificate.not_valid_before_utc <= moment
        if shown.certificate != seen[-1]:
            seen.append(shown.certificate)
    assert len(seen) == 4
    for wrong in (datetime.datetime(1970, 1, 2, tzinfo=UTC), datetime.datetime(2060, 1, 1, tzinfo=UTC)):
        during = certificates.tend(home, wrong)
        assert certificates.tend(home, wrong + timedelta(minutes=1)) == during, "once, not again and again"
        after = certificates.tend(home, NOW + 1000 * DAY)
        assert after.authority == first.authority, "nobody has to trust anything anew"
        assert (
            after.certificate.not_valid_before_utc <= NOW + 1000 * DAY < after.certificate.not_valid_after_utc
        )


def test_other_names_lead_to_another_certificate(home: Home) -> None:
    before = certificates.tend(home, NOW)
    (home.path / "falaj.toml").write_text('[tls]\nnames = "till.lan, www.example.com, 8.8.8.8"\n')
    again = homes.open_home(home.path)
    after = certificates.tend(again, NOW)
    assert "till.lan" in certificates.machine.of_this_machine(again.config.tls.names).dns
    assert after.certificate != before.certificate
    assert {"www.example.com", "8.8.8.8"} <= {*after.not_covered}
    anew = certificates.renew(again, "me", new_authority=True, now=NOW)
    assert not {"www.example.com", "8.8.8.8"} & {*anew.not_covered}
    assert anew.authority != before.authority
    assert actions(home)[-2:] == [("me", "certificate.authority"), ("me", "certificate.issue")]


def test_renewing_keeps_the_authority(home: Home) -> None:
    before, after = certificates.tend(home, NOW), certificates.renew(home, "me", now=NOW)
    assert after.authority == before.authority
    assert after.certificate != before.certificate
    assert actions(home)[-1] == ("me", "certificate.issue")


def test_the_owners_certificate_is_shown_until_it_is_forgotten(home: Home) -> None:
    before = certificates.tend(home, NOW)
    chain, key = brought(("falaj.example.com",), ends=NOW + 10 * DAY)
    shown = certificates.use(home, chain, key, "me", NOW)
    assert (shown.source, shown.trust) == (Source.OWN, chain)
    assert "falaj.example.com" not in shown.not_covered
    assert shown.not_covered
    assert certificates.shown_path(home).read_bytes().startswith(chain.encode())
    late = certificates.tend(home, NOW + 30 * DAY)
    assert late.source is Source.OWN, "it is never replaced by itself"
    assert (judge(shown, NOW).ok, bool(judge(shown, NOW).fix)) == (True, True), "it ends soon"
    assert not judge(late, NOW + 30 * DAY).ok
    assert "falaj certificate forget" in judge(late, NOW + 30 * DAY).fix
    assert certificates.forget(home, "me").source is Source.AUTHORITY
    assert judge(certificates.tend(home, NOW), NOW).fix == ""
    with pytest.raises(NotFound):
        certificates.forget(home, "me")
    assert actions(home)[2:4] == [("me", "certificate.use"), ("me", "certificate.forget")]
    assert certificates.tend(home, NOW).authority == before.authority


def test_the_doctor_speaks_of_an_old_authority_in_time(home: Home) -> None:
    shown = certificates.tend(home, NOW)
    ends = shown.authority.not_valid_after_utc
    assert judge(shown, ends - 200 * DAY).fix == ""
    soon = judge(shown, ends - 100 * DAY)
    assert soon.ok
    assert "--new-authority" in soon.fix
    assert not judge(shown, ends + DAY).ok


def bad_key(kind: str) -> tuple[str, str]:
    chain, _ = brought()
    match kind:
        case "another":
            return chain, brought()[1]
        case "nonsense":
            return chain, "no key"
        case "locked":
            made = ec.generate_private_key(ec.SECP256R1())
            locked = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
            return chain, locked.decode()
        case "weak":
            return brought(key=rsa.generate_private_key(65537, 1024))
        case "ed25519":
            return brought(key=ed25519.Ed25519PrivateKey.generate())
        case "p521":
            return brought(key=ec.generate_private_key(ec.SECP521R1()))
        case _:
            return chain, "x" * 200_000


HOSTILE: dict[str, tuple[Callable[[], tuple[str, str]], str]] = {
    "another's key": (lambda: bad_key("another"), "does not belong"),
    "no key": (lambda: bad_key("nonsense"), "no private key in PEM form"),
    "a locked key": (lambda: bad_key("locked"), "protected by a password"),
    "a weak key": (lambda: bad_key("weak"), "browsers do not take"),
    "an unusual key": (lambda: bad_key("ed25519"), "browsers do not take"),
    "a curve that the server has not": (lambda: bad_key("p521"), "browsers do not take"),
    "a huge key": (lambda: bad_key("huge"), "far too long"),
    "expired": (lambda: brought(begins=NOW - 9 * DAY, ends=NOW - DAY), "expired on 2027-02-28"),
    "not yet": (lambda: brought(begins=NOW + DAY), "only begins on 2027-03-02"),
    "for clients": (lambda: brought(use=ExtendedKeyUsageOID.CLIENT_AUTH), "not for a server"),
    "no certificate": (lambda: ("", brought()[1]), "no certificate in PEM form"),
    "key and certificate swapped": (lambda: brought()[::-1], "no private key"),
    "damaged": (lambda: (brought()[0].replace("MII", "MIJ", 1), brought()[1]), "PEM form"),
    "strangers behind it": (
        lambda: (lambda one, key: (one + brought()[0], key))(*brought()),
        "do not sign each other",
    ),
    "a whole book": (lambda: (lambda one, key: (one * 11, key))(*brought()), "holds 11 certificates"),
    "half characters": (lambda: ("\udcff", "\udcff"), "no private key"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_not_fit_is_refused_and_changes_nothing(home: Home, what: str) -> None:
    certificates.tend(home, NOW)
    make, why = HOSTILE[what]
    with pytest.raises(BadInput, match=why) as told:
        certificates.use(home, *make(), "me", NOW)
    assert told.value.hint
    assert certificates.tend(home, NOW).source is Source.AUTHORITY
    assert len(actions(home)) == 2


def test_what_is_fit_is_taken(home: Home) -> None:
    host = certificates._names(home).dns[0]
    star = f"*.{host.partition('.')[2]}"
    for chain, key in (
        brought(use=None),
        brought(names=()),
        brought(names=(star,)),
        brought(key=rsa.generate_private_key(65537, 2048)),
        brought(key=ec.generate_private_key(ec.SECP384R1())),
    ):
        shown = certificates.use(home, chain, key, "me", NOW)
        assert shown.source is Source.OWN
        if star in chain or star in [*store.named(shown.certificate)]:
            assert host not in shown.not_covered


def test_openssl_takes_what_is_shown(home: Home, tmp_path: Path) -> None:
    shown = certificates.tend(home)
    (tmp_path / "ca.pem").write_text(shown.trust)
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1"),
            *("-CAfile", str(tmp_path / "ca.pem"), str(certificates.shown_path(home))),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
