"""One call of a verb: who calls, with what, and checked access to its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from appliance.errors import BadInput
from appliance.security.roles import Caller


@dataclass(frozen=True)
class Call:
    """`caller` is who asks, `file` what was handed over with the call."""

    verb: str
    caller: Caller
    args: dict[str, Any] = field(default_factory=dict)
    file: IO[bytes] | None = None

    @property
    def actor(self) -> str:
        """The name of the caller in the audit chain."""
        return self.caller.actor

    def text(self, name: str, default: str | None = None) -> str:
        """A text argument. Raises BadInput when it is missing or something else."""
        value = self.args.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text", value)
        return plain(value)

    def texts(self, name: str) -> list[str]:
        value = self.args.get(name) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._wrong(name, "a list of texts", value)
        return [plain(one) for one in value]

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.args.get(name) or {}
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number argument from `low` to `high`."""
        value = self.args.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    def flag(self, name: str) -> bool:
        """Whether something is wanted; False unless told."""
        value = self.args.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return bool(value)

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One of some words; the first is the default."""
        value = self.text(name, known[0])
        if value not in known:
            raise self._wrong(name, f"one of {', '.join(known)}", value)
        return value

    def optional(self, name: str) -> str | None:
        """A text argument that may be absent."""
        return None if self.args.get(name) is None else self.text(name)

    def _wrong(self, name: str, wanted: str, value: Any) -> BadInput:
        return BadInput(
            f"The '{name}' of {self.verb} must be {wanted}. Got {str(value)[:60]!r} instead.",
            f"See: falaj {self.verb.replace('.', ' ')} --help",
        )


def plain(text: str) -> str:
    """Without half characters, as a file name of another encoding has them: they can't be stored as UTF-8."""
    return text.encode("utf-8", "replace").decode()
