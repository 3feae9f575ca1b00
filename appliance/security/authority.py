"""The appliance's own certificate authority, and the certificates that it signs.

It exists so that the machines of an office can check who they talk to where no public authority signs: for
private names and addresses. It is name-constrained (RFC 5280, 4.2.1.10): a machine that trusts it trusts
it for this machine's names and for private ones only, so a stolen one can't pose as a public site.
Everything here is pure: names and a clock in, certificates out.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.security.names import LOCALHOST, Names

PRIVATE_NAMES = ("local", "lan", "home", "internal", "intranet", "home.arpa")
PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fe80::/10",
    "fc00::/7",
)
AUTHORITY_DAYS = 3652
CERTIFICATE_DAYS = 397  # what browsers take from a public authority; some ask it of all
_BACKDATED = timedelta(days=1)  # a client's clock may be behind
_BEFORE_US = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS = Path(__file__).with_name("public_words.txt").read_text().splitlines()
_PUBLIC_WORDS = {word for line in _WORDS if not line.startswith("#") for word in line.split()}
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A private key and its certificate, followed by those that signed it."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    def certificates_pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)

    def pem(self) -> bytes:
        """Both in one text, so that they can't be of two kinds. The key is in it, unencrypted."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificates_pem() + key

    @classmethod
    def from_pem(cls, pem: bytes) -> Identity:
        """What `pem` wrote. Raises ValueError."""
        key = load_pem_private_key(pem, None)
        if not isinstance(key, PrivateKey):
            raise ValueError("a key of another kind")
        return cls(key, tuple(x509.load_pem_x509_certificates(pem)))


def believable(now: datetime) -> datetime:
    """A clock without a battery starts in 1970: nothing of ours was made before this program was."""
    return max(now, _BEFORE_US)


def make_authority(names: Names, now: datetime) -> Identity:
    """A new authority, for private names and addresses and for those that the machine has now."""
    key = ec.generate_private_key(ec.SECP256R1())
    label = f"Falaj {names.dns[0].removesuffix('.local')[:40]} {secrets.token_hex(2)}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    certificate = (
        _begun(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(_permitted(names), None), critical=True)
        .sign(key, SHA256())
    )
    return Identity(key, (certificate,))


def issue(authority: Identity, names: Names, now: datetime) -> Identity:
    """A server's certificate for those of the names that the authority may sign for."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = authority.certificate
    signer_key = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    covered, _ = split(signer, names)
    others: list[x509.GeneralName] = [x509.DNSName(name) for name in covered.dns]
    others += [x509.IPAddress(ipaddress.ip_address(one)) for one in covered.addresses]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (covered.dns or (LOCALHOST,))[0][:64])])
    certificate = (
        _begun(subject, signer.subject, key.public_key(), now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer_key), critical=False
        )
        .sign(authority.key, SHA256())
    )
    return Identity(key, (certificate, signer))


def split(authority: x509.Certificate, names: Names) -> tuple[Names, list[str]]:
    """The names that the authority may sign for, and the others."""
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    roots = [one.value for one in permitted or [] if isinstance(one, x509.DNSName)]
    networks = [one.value for one in permitted or [] if isinstance(one.value, _Network)]
    dns = tuple(name for name in names.dns if any(f".{name}".endswith(f".{root}") for root in roots))
    inside = tuple(one for one in names.addresses if any(_within(one, net) for net in networks))
    covered = Names(dns, inside)
    return covered, [one for one in names if one not in {*covered}]


def why_renew(
    certificate: x509.Certificate, authority: x509.Certificate, names: Names, now: datetime
) -> str | None:
    """Why the certificate has to be made anew, in a few words; None while it is good."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        return "the clock was set back to before it"
    if now > ends - (ends - begins) / 3:
        return "less than a third of its time was left"
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return "it was of another authority"
    covered, _ = split(authority, names)
    if {*named(certificate)} != {*covered}:
        return "the names or addresses of the machine changed"
    return None


def named(certificate: x509.Certificate) -> Names:
    """The names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names((), ())
    return Names(
        tuple(str(name).lower() for name in found.get_values_for_type(x509.DNSName)),
        tuple(str(one) for one in found.get_values_for_type(x509.IPAddress)),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 as browsers show it: AA:BB:..."""
    return certificate.fingerprint(SHA256()).hex(":").upper()


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    begins = now.replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _permitted(names: Names) -> list[x509.GeneralName]:
    roots = [name for name in names.dns if not is_public(name)]
    networks = [*PRIVATE_NETWORKS, *(one for one in names.addresses if not _is_private(one))]
    found: list[x509.GeneralName] = [x509.DNSName(root) for root in dict.fromkeys([*PRIVATE_NAMES, *roots])]
    return found + [x509.IPAddress(ipaddress.ip_network(net)) for net in networks]


def is_public(name: str) -> bool:
    """Whether a name without a dot is, or may be, a public domain with sites of others below it."""
    country = len(name) == 2 and name.isalpha()
    return not set(".:") & set(name) and (country or name in _PUBLIC_WORDS or name.startswith("xn--"))


def _is_private(address: str) -> bool:
    return any(_within(address, ipaddress.ip_network(net)) for net in PRIVATE_NETWORKS)


def _within(address: str, network: _Network) -> bool:
    return ipaddress.ip_address(address) in network
