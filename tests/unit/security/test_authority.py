"""The authority signs for this machine and for private names; what it signs beyond nobody believes."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from appliance.security import names as machine
from appliance.security.authority import (
    AUTHORITY_DAYS,
    CERTIFICATE_DAYS,
    Identity,
    believable,
    fingerprint,
    is_public,
    issue,
    make_authority,
    named,
    split,
    why_renew,
)
from appliance.security.names import Names

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = Names(("box.local", "box-7", "localhost"), ("192.168.1.20", "127.0.0.1", "::1", "203.0.113.9"))


@pytest.fixture(scope="module")
def authority() -> Identity:
    return make_authority(NAMES, NOW)


def forged(authority: Identity, name: str) -> x509.Certificate:
    """What a thief of the authority's key would sign, for one name or address."""
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        other: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        other = x509.DNSName(name)
    signer = authority.certificate
    skid = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([other]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(skid), critical=False)
        .sign(authority.key, SHA256())
    )


def believed(certificate: x509.Certificate, authority: Identity, name: str, at: datetime = NOW) -> bool:
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    policy = PolicyBuilder().store(Store([authority.certificate])).time(at)
    try:
        policy.build_server_verifier(subject).verify(certificate, [])  # type: ignore[arg-type]
    except VerificationError:
        return False
    return True


def openssl_believes(tmp_path: Path, certificate: x509.Certificate, authority: Identity) -> bool:
    (tmp_path / "ca.pem").write_bytes(authority.certificates_pem())
    (tmp_path / "one.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    at = str(int(NOW.timestamp()))
    done = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-attime",
            at,
            "-CAfile",
            tmp_path / "ca.pem",
            tmp_path / "one.pem",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("name", [*NAMES, "printer.lan", "x.home.arpa", "10.1.2.3", "fd00::1", "100.64.0.1"])
def test_private_names_are_believed(tmp_path: Path, authority: Identity, name: str) -> None:
    made = forged(authority, name)
    assert believed(made, authority, name)
    assert openssl_believes(tmp_path, made, authority)


@pytest.mark.parametrize(
    "name",
    ["example.com", "www.bank.ae", "box-7.example.com", "local.com", "notbox-7", "8.8.8.8", "203.0.113.10",
     "2001:db8::1", "172.32.0.1"],
)  # fmt: skip
def test_a_stolen_authority_is_not_believed_for_others(
    tmp_path: Path, authority: Identity, name: str
) -> None:
    made = forged(authority, name)
    assert not believed(made, authority, name)
    assert not openssl_believes(tmp_path, made, authority)


def test_it_can_not_make_another_authority(authority: Identity) -> None:
    found = authority.certificate.extensions
    limits = found.get_extension_for_class(x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, 0)
    assert found.get_extension_for_class(x509.NameConstraints).critical
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    begins, ends = authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc
    assert (NOW - begins, (ends - begins).days) == (DAY, AUTHORITY_DAYS)


@pytest.mark.parametrize("host", ["shop", "com", "ae", "xn--p1ai"])
def test_a_machine_with_the_name_of_a_public_domain(tmp_path: Path, host: str) -> None:
    """The authority of a machine called 'shop' must not sign for everything under .shop."""
    assert is_public(host)
    names = Names((f"{host}.local", host, "localhost"), ("127.0.0.1",))
    authority = make_authority(names, NOW)
    covered, excluded = split(authority.certificate, names)
    assert (covered.dns, excluded) == ((f"{host}.local", "localhost"), [host])
    made = forged(authority, f"pay.{host}")
    assert not believed(made, authority, f"pay.{host}")
    assert not openssl_believes(tmp_path, made, authority)


@pytest.mark.parametrize("host", ["falaj", "server-1", "office2", "shop.example.com"])
def test_other_machines_keep_their_name(host: str) -> None:
    assert not is_public(host)


def test_a_certificate_is_for_all_that_the_authority_may_sign(tmp_path: Path, authority: Identity) -> None:
    more = Names((*NAMES.dns, "www.example.com"), (*NAMES.addresses, "198.51.100.1"))
    made = issue(authority, more, NOW)
    assert named(made.certificate) == NAMES
    assert split(authority.certificate, more)[1] == ["www.example.com", "198.51.100.1"]
    assert all(believed(made.certificate, authority, name) for name in NAMES)
    assert openssl_believes(tmp_path, made.certificate, authority)
    usage = made.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    begins, ends = made.certificate.not_valid_before_utc, made.certificate.not_valid_after_utc
    assert (NOW - begins, (ends - begins).days) == (DAY, CERTIFICATE_DAYS)
    assert not believed(made.certificate, make_authority(NAMES, NOW), "localhost")


def test_when_a_certificate_is_made_anew(authority: Identity) -> None:
    made = issue(authority, NAMES, NOW).certificate

    def why(names: Names = NAMES, now: datetime = NOW, signer: Identity = authority) -> str:
        return why_renew(made, signer.certificate, names, now) or "it is good"

    third = CERTIFICATE_DAYS * DAY / 3
    assert why() == "it is good"
    assert why(now=NOW - DAY + 2 * third) == "it is good"
    assert why(now=NOW - DAY + 2 * third + DAY) == "less than a third of its time was left"
    assert why(now=NOW + 9999 * DAY) == "less than a third of its time was left"
    assert why(now=NOW - 2 * DAY) == "the clock was set back to before it"
    assert why(signer=make_authority(NAMES, NOW)) == "it was of another authority"
    changed = "the names or addresses of the machine changed"
    assert why(Names(NAMES.dns, (*NAMES.addresses, "10.0.0.9"))) == changed
    assert why(Names(NAMES.dns[1:], NAMES.addresses)) == changed
    assert why(Names(NAMES.dns[::-1], NAMES.addresses)) == "it is good"
    assert why(Names(NAMES.dns, (*NAMES.addresses, "8.8.8.8"))) == "it is good", "it can't be signed for"


def test_a_clock_without_a_battery(authority: Identity) -> None:
    """In 1970 a certificate is made once, not again and again, and is good for clients with a right clock."""
    then = believable(datetime(1970, 1, 1, tzinfo=UTC))
    made = issue(authority, NAMES, then).certificate
    assert why_renew(made, authority.certificate, NAMES, then) is None
    assert made.not_valid_before_utc.year >= 2025
    assert believable(NOW) == NOW


def test_an_identity_is_written_and_read_as_one(authority: Identity) -> None:
    again = Identity.from_pem(authority.pem())
    assert again.chain == authority.chain
    assert fingerprint(again.certificate).count(":") == 31
    with pytest.raises(ValueError):
        Identity.from_pem(authority.certificates_pem())


def test_this_machine() -> None:
    found = machine.of_this_machine("falaj.lan, 192.168.77.1, FALAJ.lan")
    assert {"localhost", "falaj.lan"} <= {*found.dns}
    assert {"127.0.0.1", "::1", "192.168.77.1"} <= {*found.addresses}
    assert found.dns[0].endswith(".local")
    assert len({*found}) == len([*found])
    assert not [one for one in found.addresses if one.startswith("fe80") or "%" in one]
