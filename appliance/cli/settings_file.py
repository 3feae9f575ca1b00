"""Editing the settings file as its owner would: comments and order stay, and a wrong value changes nothing.

The result is loaded with the very checks of a start before it is written, and must differ from what was there
in the one setting alone.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import config, keys
from appliance.config import SYSTEM_HOME, Config
from appliance.errors import BadInput, FalajError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_HEAD = "# Settings of Falaj. All there are: falaj config ls\n"


@dataclass(frozen=True)
class Edited:
    """What an edit did: the value that the file gave before, and the one that it gives now."""

    file: Path
    old: Any
    new: Any


def set_value(home: Path, setting: str, text: str) -> Edited:
    """Write one setting. Raises BadInput for an unknown one, or for a value that a start would refuse."""
    config.default(setting)
    section, _, key = setting.partition(".")
    return _edit(home, setting, config.typed(section, key, text, "this command"))


def unset(home: Path, setting: str) -> Edited:
    """Take one setting out, so that its default holds."""
    return _edit(home, setting, None)


def _edit(home: Path, setting: str, value: Any) -> Edited:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    file = config.settings_file(home)
    _refuse_others(home)
    before = _read(file)
    try:
        document = tomlkit.parse(before)
        _change(document, setting, value)
        after = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise BadInput(
            f"{file} is not valid TOML: {error}", "Mend that line with an editor, then try again."
        ) from error
    after = after if before else _HEAD + after
    known = config.load(home, {}, written=after)
    try:
        old = config.load(home, {}, written=before)
    except BadInput:  # this edit mends it
        old = None
    if old is not None:
        _compare(file, old, known, setting)
    if after != before:
        _write(home, file, after)
    shown = None if old is None else _value(old, setting)
    return Edited(file, shown, _value(known, setting))


def _value(settings: Config, setting: str) -> Any:
    """None for what is no setting: a wrong name can be taken out."""
    try:
        config.default(setting)
    except BadInput:
        return None
    return settings.value(setting)


def _change(document: TOMLDocument, setting: str, value: Any) -> None:
    import tomlkit

    section, _, key = setting.partition(".")
    table = document.get(section)
    if table is not None and not hasattr(table, "keys"):
        raise BadInput(f"'{section[:60]}' in the settings file must be a section.", "Mend it with an editor.")
    if value is not None:
        if table is None:
            if document.body and not document.as_string().endswith("\n\n"):
                document.add(tomlkit.nl())
            document[section] = table = tomlkit.table()
        table[key] = value
    elif table is not None and key in table:
        del table[key]
    else:
        raise BadInput(f"'{setting[:60]}' is not in the settings file.", "What is there: falaj config ls")


def _compare(file: Path, old: Config, new: Config, setting: str) -> None:
    names = [f"{section}.{key}" for section, key, *_ in config.settings()]
    if any(old.value(name) != new.value(name) for name in names if name != setting):
        raise FalajError(
            f"{file} is written in a way that this command can't edit.", "Change it with an editor."
        )


def _refuse_others(home: Path) -> None:
    if home == SYSTEM_HOME:
        if os.geteuid() != 0:
            raise FalajError(
                "The settings of this server are changed by root.", "Put sudo before the command."
            )
    elif not home.is_dir():
        raise FalajError(f"There is no appliance in {home} yet.", "Start one with: falaj run")


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise FalajError(f"{file} cannot be read.", "See what it is, and to whom it belongs.") from error


def _write(home: Path, file: Path, content: str) -> None:
    """As a whole. It keeps its mode; a new one is everybody's to read under /etc, else the home's owner's."""
    system = home == SYSTEM_HOME
    try:
        if system:
            file.parent.mkdir(exist_ok=True)
            file.parent.chmod(0o755)
            file = file.resolve()  # a link that root made stays one
        found = file.lstat() if file.exists() and not file.is_symlink() else None
        mode = 0o644 if system else 0o600
        if found is not None:
            mode |= stat.S_IMODE(found.st_mode)
        owner = home.stat() if not system else None
        given = (owner.st_uid, owner.st_gid) if owner is not None and os.geteuid() == 0 else None
        keys.write_file(file, content.encode(), mode, given)
    except OSError as error:
        raise FalajError(f"{file} cannot be written: {error.strerror}.", "Act as its owner.") from error
