"""The recovery key: what opens the data on another machine, when this one and its sealed master key are gone.

160 random bits, written in Crockford's base32 (no I, L, O or U) with three characters more that tell a typo
from a wrong key. The master key is kept wrapped by it (AES-256-GCM under a key from HKDF-SHA256, RFC 5869)
in `keys/recovery.json`; the recovery key itself is kept nowhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance import clock
from appliance.blobs import told_when_full
from appliance.db import Row
from appliance.errors import BadInput, Corrupted, Forbidden, NotFound
from appliance.home import Home
from appliance.keys import sync_folder, unwrap_master, write_file

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BYTES = 20
_LETTERS, _CHECK, _GROUP = 32, 3, 5
_READ_AS = str.maketrans("OIL", "011", "- \t\r\n")
_FILE = "recovery.json"


@dataclass(frozen=True)
class Standing:
    """Whether there is a recovery key, since when, and who proved last that they still have it."""

    made_at: str
    made_by: str
    checked_at: str | None
    checked_by: str | None


def standing(home: Home) -> Standing | None:
    """None while none was made. Raises Corrupted."""
    told = _read(home.path)
    if told is None:
        return None
    return Standing(told["made_at"], told["made_by"], told.get("checked_at"), told.get("checked_by"))


def make(home: Home, actor: str) -> str:
    """A new recovery key, which is told once; the one before opens nothing any more."""
    secret, salt = secrets.token_bytes(_BYTES), secrets.token_bytes(16)
    wrapped = home.keys.wrap_master(_derived(secret, salt))
    told = {
        "made_at": clock.now(),
        "made_by": actor,
        "salt": b64encode(salt).decode(),
        "master": b64encode(wrapped).decode(),
    }
    with _alone(home.path):
        _keep(home, told, actor, "recovery.make")
    return _written(secret)


def check(home: Home, typed: str, actor: str) -> Standing:
    """Prove that somebody has the key, and note it. Raises BadInput for a typo, Forbidden for another key."""
    secret = _parse(typed)
    with _alone(home.path):
        told = _wanted(home.path)
        try:
            _unwrap(told, secret)
        except Corrupted as error:
            with home.registry.write() as tx:
                tx.audit(actor, "recovery.wrong", "keys")
            raise Forbidden(
                "This is not the recovery key of this appliance.",
                "It may be one from before: only the newest opens it. Make a new one if it is lost.",
            ) from error
        _keep(home, told | {"checked_at": clock.now(), "checked_by": actor}, actor, "recovery.check")
    found = standing(home)
    assert found is not None
    return found


def master_from(home: Path, typed: str) -> bytes:
    """The master key of a home, by its recovery key. Raises BadInput, NotFound or Corrupted."""
    secret = _parse(typed)
    return _unwrap(_wanted(home), secret)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Against other processes and threads: a check beside a making would bring the key before back."""
    descriptor = os.open(home / "keys", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keep(home: Home, told: Row, actor: str, action: str) -> None:
    """Write the file; the entry in the audit chain commits before it takes its place."""
    path = home.path / "keys" / _FILE
    staged = path.with_suffix(".new")
    with told_when_full():
        write_file(staged, json.dumps(told, indent=1).encode())
        with home.registry.write() as tx:
            tx.audit(actor, action, "keys")
        staged.rename(path)
        sync_folder(path.parent)


def _read(home: Path) -> Row | None:
    try:
        told: Row = json.loads((home / "keys" / _FILE).read_text())
        _sealed(told)
        return told if told["made_at"] and told["made_by"] else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupted(
            f"keys/{_FILE} cannot be read.", "Make a new recovery key: falaj recovery make"
        ) from error


def _wanted(home: Path) -> Row:
    told = _read(home)
    if told is None:
        raise NotFound("No recovery key was ever made here.", "Make one: falaj recovery make")
    return told


def _unwrap(told: Row, secret: bytes) -> bytes:
    master, salt = _sealed(told)
    return unwrap_master(master, _derived(secret, salt))


def _sealed(told: Row) -> tuple[bytes, bytes]:
    """The wrapped master key, and the salt. Raises ValueError, KeyError or TypeError."""
    return b64decode(told["master"], validate=True), b64decode(told["salt"], validate=True)


def _derived(secret: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"falaj recovery key 1").derive(secret)


def _written(secret: bytes) -> str:
    """The key as people write it down: seven groups of five."""
    text = _base32(int.from_bytes(secret), _LETTERS) + _check_of(secret)
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def _parse(typed: str) -> bytes:
    """What was typed, forgiving case, spaces, hyphens and the letters that look like digits."""
    text = typed.upper().translate(_READ_AS)
    if len(text) != _LETTERS + _CHECK or not set(text) <= set(_ALPHABET):
        raise BadInput(
            "This is no recovery key.", "It has seven groups of five letters and digits: type all of them."
        )
    number = 0
    for letter in text[:_LETTERS]:
        number = number << 5 | _ALPHABET.index(letter)
    secret = number.to_bytes(_BYTES)
    if _check_of(secret) != text[_LETTERS:]:
        raise BadInput("Something in this recovery key was mistyped.", "Compare it group by group.")
    return secret


def _check_of(secret: bytes) -> str:
    return _base32(int.from_bytes(hashlib.sha256(secret).digest()[:2]) & 0x7FFF, _CHECK)


def _base32(number: int, letters: int) -> str:
    return "".join(_ALPHABET[number >> 5 * at & 31] for at in reversed(range(letters)))
