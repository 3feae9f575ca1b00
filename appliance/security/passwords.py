"""Passwords: argon2id (RFC 9106), a rule that people can keep, and one-time passwords.

A hash takes 64 MiB and about a quarter of a second by design, so only one is computed at a time: a flood of
sign-ins waits or is refused, and memory stays bounded.
"""

from __future__ import annotations

import functools
import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from appliance.errors import BadInput, Overloaded

SHORTEST, LONGEST = 10, 200
_DIFFERENT = 5  # so many different letters make a password more than a row of one key
_TELLING = 4  # a name of so many letters must not be in the password; shorter ones are in many words
_PATIENCE = 10.0
_LOOKS_LIKE = str.maketrans("@$!", "asi")
_ROWS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)
_COMMON = {  # words that guessers try first, with digits and signs after them
    "password", "passwort", "passw0rd", "administrator", "admin", "welcome", "letmein", "iloveyou",
    "princess", "sunshine", "football", "baseball", "basketball", "superman", "batman", "trustno",
    "changeme", "default", "secret", "mysecret", "monkey", "dragon", "master", "qwerty", "qwertyuiop",
    "asdfghjkl", "falaj", "company", "office", "dubai", "abudhabi", "sharjah", "emirates",
}  # fmt: skip
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that is read as another
_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_one_at_a_time = threading.BoundedSemaphore(1)
_waiting = threading.BoundedSemaphore(6)


def hash_password(password: str) -> str:
    """The argon2id hash in its encoded form, parameters and salt included."""
    with _Turn():
        return _hasher.hash(password)


def is_right(password: str, encoded: str | None) -> bool:
    """Whether this is the password; as slow when there is no such user (`encoded` None)."""
    with _Turn():
        try:
            return _hasher.verify(encoded or _nobody(), password[: LONGEST + 1]) and encoded is not None
        except (VerificationError, InvalidHashError):
            return False


def check_new(password: str, name: str) -> None:
    """Raises BadInput unless this may be somebody's password (after NIST SP 800-63B, 3.1.1)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(
            f"A password must have {SHORTEST} to {LONGEST} letters.", "Three or four words make a good one."
        )
    plain, folded = password.casefold(), name.casefold()
    named = len(folded) >= _TELLING and folded in plain
    if named or len(set(plain)) < _DIFFERENT or _is_common(plain):
        raise BadInput(
            "This password is too easy to guess.",
            "Leave your name, rows of keys and well-known passwords out.",
        )


def _is_common(plain: str) -> bool:
    """Whether it is what guessers try first: a well-known word with its usual tail, or a row of keys."""
    word = plain.strip("0123456789!?.*#@$-_ ").translate(_LOOKS_LIKE)
    rows = any(part in row for row in _ROWS for part in (plain, plain[::-1]))
    return rows or word in _COMMON or (len(word) % 2 == 0 and word[: len(word) // 2] * 2 == word)


def one_time_password() -> str:
    """Four groups of four letters (79 bits), for the first sign-in of somebody else."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


@functools.cache
def _nobody() -> str:
    """What is checked for names that don't exist."""
    return _hasher.hash(secrets.token_urlsafe())


class _Turn:
    """One hash at a time. Raises Overloaded when the others take too long."""

    def __enter__(self) -> None:
        if not _waiting.acquire(blocking=False):  # a flood must not hold every thread of the page
            raise Overloaded("Too many people sign in at this moment.", "Try again in a moment.")
        try:
            if not _one_at_a_time.acquire(timeout=_PATIENCE):
                raise Overloaded("Too many people sign in at this moment.", "Try again in a moment.")
        finally:
            _waiting.release()

    def __exit__(self, *_: object) -> None:
        _one_at_a_time.release()
