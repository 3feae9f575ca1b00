"""Looking at a certificate that the owner brings, before it is taken.

It is bytes from outside: its size is bounded, it is parsed, and every reason to refuse it is told in words.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance.errors import BadInput
from appliance.security.authority import Identity, PrivateKey, named
from appliance.security.names import Names

LONGEST = 128 << 10
_MOST = 10
_SERVER = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def read_own(chain: str, key: str, now: datetime) -> Identity:
    """The owner's certificate with its key, checked. Raises BadInput saying what is wrong and what to do."""
    if max(len(chain), len(key)) > LONGEST:
        raise BadInput("That is far too long for a certificate or a key.", "Name the right two files.")
    identity = Identity(_read_key(key), _read_chain(chain))
    certificate = identity.certificate
    if _spki(identity.key.public_key()) != _spki(certificate.public_key()):
        raise BadInput(
            "The key does not belong to the first certificate of the file.",
            "Name the key that the certificate was asked for with, and put the server's certificate first.",
        )
    if now > certificate.not_valid_after_utc:
        raise BadInput(
            f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}.", "Get a new one."
        )
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise BadInput(f"The certificate only begins on {begins} UTC.", "Wait, or set this machine's clock.")
    _check_purpose(certificate)
    _check_order(identity.chain)
    return identity


def not_covered(certificate: x509.Certificate, names: Names) -> list[str]:
    """The names of the machine that the certificate is not for; the loopback is no matter."""
    ours = [name for name in names if name not in ("localhost", "127.0.0.1", "::1")]
    found = named(certificate)
    return [name for name in ours if name not in found.addresses and not _matches(name, found.dns)]


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """As clients compare names (RFC 9525): a star stands for one first part."""
    return name in patterns or f"*.{name.partition('.')[2]}" in patterns


def _read_key(text: str) -> PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise BadInput(
            "The key is protected by a password.", "Take it off: openssl pkey -in KEY.pem -out PLAIN.pem"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput(
            "The key file holds no private key in PEM form.",
            "It begins with '-----BEGIN PRIVATE KEY-----' or the like.",
        ) from error
    strong = isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= 8192
    curve = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in ("secp256r1", "secp384r1")
    if not isinstance(key, PrivateKey) or not (strong or curve):
        raise BadInput(
            "The key is of a kind that browsers do not take.",
            "Use RSA with 2048 to 8192 bits, or an elliptic curve, P-256 or P-384.",
        )
    return key


def _read_chain(text: str) -> tuple[x509.Certificate, ...]:
    try:
        chain = tuple(x509.load_pem_x509_certificates(text.encode()))
        for one in chain:
            named(one)  # parsed only when it is asked for, as is the key
            one.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise BadInput(
            "The certificate file holds no certificate in PEM form, or a damaged one.",
            "It begins with '-----BEGIN CERTIFICATE-----'.",
        ) from error
    if len(chain) > _MOST:
        raise BadInput(
            f"The file holds {len(chain)} certificates.", "It takes the server's, then those that signed it."
        )
    return chain


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not _SERVER & set(uses):
        raise BadInput("The certificate is not for a server.", "Get one for 'server authentication'.")


def _check_order(chain: tuple[x509.Certificate, ...]) -> None:
    for below, above in pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise BadInput(
                "The certificates of the file do not sign each other, in that order.",
                "Put the server's certificate first, then the one that signed it, and so on.",
            ) from error


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
