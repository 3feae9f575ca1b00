"""What a role shows before it says that it is alive: each is asked, and says why it does not answer, or "".

One that hangs says nothing, and that is seen. What the registry answers does not matter: an error of it is
told as trouble, predictions go on in spite of it, and a restart would end them and mend nothing.
"""

from __future__ import annotations

import contextlib
import socket

from appliance.daemon.notify import Proof
from appliance.db import audit
from appliance.errors import FalajError
from appliance.framing import LENGTH, exactly, socket_path
from appliance.home import Home

_CALL = b"{}"


def of(*proofs: Proof) -> Proof:
    """All of them, one after the other, up to the first that fails."""
    return lambda: next(filter(None, (proof() for proof in proofs)), "")


def registry(home: Home) -> Proof:
    """A page of the registry is read."""

    def proof() -> str:
        with contextlib.suppress(FalajError, OSError):
            home.registry.one(audit.LAST)
        return ""

    return proof


def local_door(home: Home) -> Proof:
    """A call on the falaj command's socket is answered; it names no verb, so the answer is a refusal."""

    def proof() -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(str(socket_path(home.run_dir)))
                connection.sendall(LENGTH.pack(len(_CALL)) + _CALL)
                exactly(connection, LENGTH.size)
            except OSError as error:
                return f"the falaj command is not answered: {error}"
        return ""

    return proof
