"""Application tokens: `falaj_` + 32 random letters and digits + 6 of a checksum.

The prefix makes a leaked token findable by scanners, the checksum (CRC-32, base 62, as in GitHub's
tokens) tells a typing error from a wrong token without a look-up. 32 of base 62 are 190 bits, so a
plain SHA-256 is enough to store: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import timedelta

from appliance import clock
from appliance.db import Transaction
from appliance.errors import BadInput, Forbidden, Unauthenticated
from appliance.registry import tokens
from appliance.registry.tokens import Token

PREFIX = "falaj_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET = 32
_CHECK = 6
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def create(
    tx: Transaction, models: list[str], expires: str | None, name: str, by: str, role: str | None = None
) -> tuple[str, Token]:
    """Make a token; the secret itself is returned once and never stored.

    `models` are names or `*`; `expires` is a span like `90d`, or None for a token that doesn't expire;
    `role` is what it may do on the management API.
    """
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET))
    text = PREFIX + secret + _checksum(secret)
    token = Token(
        id=secrets.token_hex(6),
        name=name,
        digest=digest(text),
        models=models,
        expires_at=None if expires is None else _after(expires),
        revoked_at=None,
        created_at=clock.now(),
        created_by=by,
        role=role,
    )
    tokens.add(tx, token)
    detail = {"models": models, "expires": token.expires_at, "name": name, "role": role}
    tx.audit(by, "token.create", f"token:{token.id}", detail)
    return text, token


def digest(text: str) -> str:
    """What is stored and looked up: the SHA-256 of the token."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_well_formed(text: str) -> bool:
    """Whether the text can be a token at all: its prefix, length and checksum."""
    body = text.removeprefix(PREFIX)
    return (
        text.startswith(PREFIX)
        and len(body) == _SECRET + _CHECK
        and body.isascii()
        and body.endswith(_checksum(body[:_SECRET]))
    )


class TokenBook:
    """All tokens, by digest, for one process that answers requests. Immutable; replaced as a whole."""

    def __init__(self, every: Iterable[Token]) -> None:
        self._by_digest = {token.digest: token for token in every}

    def authorise(self, text: str | None, model: str | None) -> Token:
        """The token that may do this. Raises Unauthenticated or Forbidden, saying which and why."""
        if not text:
            raise Unauthenticated(
                "This needs a token.",
                "Send the header 'Authorization: Bearer TOKEN'; make one with: falaj token create",
            )
        token = in_force(self._by_digest.get(digest(text)), text)
        if not token.models:
            raise Forbidden(
                f"Token {token.id} is for the management API only.",
                "Make one for predictions with: falaj token create --models MODEL",
            )
        if model is not None and not token.allows(model):
            raise Forbidden(
                f"Token {token.id} is not for the model '{model}'.",
                f"It is for: {', '.join(token.models)}. Make one with: falaj token create --models {model}",
            )
        return token


def in_force(token: Token | None, text: str) -> Token:
    """The token found for this text, if it still opens anything. Raises Unauthenticated, saying why not."""
    if token is None:
        if not is_well_formed(text):
            raise Unauthenticated(
                "This is not a complete token: a letter is missing or wrong.", "Copy the whole token again."
            )
        raise Unauthenticated("This token is not known here.", "Make one with: falaj token create")
    if token.revoked_at is not None:
        raise Unauthenticated(f"Token {token.id} was revoked.", "Make a new one with: falaj token create")
    if token.expires_at is not None and token.expires_at <= clock.now():
        raise Unauthenticated(
            f"Token {token.id} expired on {token.expires_at[:10]}.", "Make a new one with: falaj token create"
        )
    return token


def _after(span: str) -> str:
    number, unit = span[:-1], span[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS and 0 < int(number) < 100_000):
        raise BadInput(
            f"The 'expires' of a token must be a number and s, m, h, d or w. Got {span!r} instead.",
            "For example: --expires 90d",
        )
    return clock.stamp(clock.parse(clock.now()) + timedelta(**{_UNITS[unit]: int(number)}))


def _checksum(secret: str) -> str:
    number, digits = zlib.crc32(secret.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
