"""The code that proves to the admin page that its first user also stands at the server.

Ten letters of Crockford's base 32 (50 bits), thirty minutes, five tries; stored as a digest. Whoever may
run commands on the server can always make a new one, so wrong tries from the network do no lasting harm.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from appliance.db import Store, Transaction
from appliance.errors import Conflict, Forbidden
from appliance.registry import setup_codes, users

MINUTES, TRIES = 30, 5
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011", "- ")


def make(tx: Transaction, by: str) -> str:
    """A new code, the only valid one. Raises Conflict once somebody has been set up."""
    if users.there_are_any(tx):
        raise Conflict("The appliance is set up already.", "For a forgotten password: falaj user reset NAME")
    code = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    setup_codes.replace(tx, _digest(code), MINUTES * 60.0, TRIES)
    tx.audit(by, "setup.code", "appliance", {"minutes": MINUTES, "tries": TRIES})
    return f"{code[:5]}-{code[5:]}"


def check(store: Store, given: str) -> str:
    """The code as `use` takes it. Raises Forbidden for a wrong one, and counts that.

    A try is taken and committed before the codes are compared, so that no number of callers at once
    has more than five.
    """
    with store.write() as tx:
        code = None if users.there_are_any(tx) else setup_codes.take_a_try(tx)
    plain = given.upper().translate(_READ_AS)
    if code is not None and hmac.compare_digest(code["digest"], _digest(plain)):
        with store.write() as tx:  # who has the code may mistype the rest as often as they like
            setup_codes.give_a_try_back(tx, code["digest"])
        return plain
    left = code["tries"] if code else 0
    if left:
        raise Forbidden(
            "This is not the set-up code.", f"Look again; tries left: {left}. Then: falaj setup-code"
        )
    raise Forbidden(
        "This set-up code is used up or too old.", "Make a new one on the server with: falaj setup-code"
    )


def use(tx: Transaction, code: str) -> None:
    """Spend a checked code, in the transaction of what it was for. Raises Conflict when it was spent."""
    row = tx.one("SELECT digest FROM setup_code")
    if users.there_are_any(tx) or row is None or row["digest"] != _digest(code):
        raise Conflict("Somebody else has used this set-up code.", "Sign in, or ask them for an account.")
    setup_codes.forget(tx)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
