"""A token for the appliance's own processes: made at each start, on tmpfs, readable by the owner only."""

from __future__ import annotations

from pathlib import Path

from appliance import clock
from appliance.errors import Unavailable
from appliance.keys import new_key, write_file
from appliance.registry.tokens import Token
from appliance.security.tokens import digest

_FILE = "local.token"


def make_local_token(run_dir: Path) -> None:
    write_file(run_dir / _FILE, f"local-{new_key().hex()}".encode())


def local_token(run_dir: Path) -> str:
    """The token's text. Raises Unavailable when the appliance isn't running."""
    try:
        return (run_dir / _FILE).read_text()
    except FileNotFoundError as error:
        raise Unavailable("The appliance is not running.", "Start it with: falaj run") from error


def as_token(run_dir: Path) -> Token:
    """What the endpoint's token book holds for it: every model, no expiry."""
    return Token(
        "local", "this appliance", digest(local_token(run_dir)), ["*"], None, None, clock.now(), "system"
    )
