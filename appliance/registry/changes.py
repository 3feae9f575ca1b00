"""Changed settings in the audit chain: whoever changed them, and with whatever, the next start records it.

What was recorded last is read from the chain itself: each `settings.changed` entry holds the old and the new
value of what differed then. A setting that no entry names had its default.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from appliance import config
from appliance.config import Config
from appliance.db import Row, Store
from appliance.errors import FalajError

log = logging.getLogger(__name__)

ACTION = "settings.changed"


def recorded(store: Store) -> dict[str, Any]:
    """Setting -> the value that the chain knows it to have."""
    found: dict[str, Any] = {}
    for row in store.all("SELECT detail FROM audit WHERE action = ? ORDER BY seq", (ACTION,)):
        found |= {setting: change["new"] for setting, change in json.loads(row["detail"]).items()}
    return found


def differences(known: dict[str, Any], settings: Config) -> Row:
    """Setting -> `old` and `new`, where what holds now is not what was known."""
    changed = {}
    for section, key, _kind, default, _help in config.settings():
        name = f"{section}.{key}"
        old, new = known.get(name, default), settings.value(name)
        if old != new:
            changed[name] = {"old": old, "new": new}
    return changed


def record(store: Store, settings: Config) -> None:
    """Append what has changed since the last start, if anything has.

    A disk that takes nothing must not keep the appliance from starting: the next start records it then.
    """
    if changed := differences(recorded(store), settings):
        try:
            with store.write() as tx:
                tx.audit("system", ACTION, "settings", changed)
        except FalajError as error:
            log.warning("changed settings are recorded at the next start: %s", error.message)
