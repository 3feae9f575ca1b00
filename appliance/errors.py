"""One exception tree for everything a user may be told.

    FalajError            500  something failed; message and hint are safe to show
    ├── BadInput          400  the request, file or option is not usable as given
    ├── Unauthenticated   401  no credential, or one that is not valid
    ├── Forbidden         403  a valid credential that may not do this
    ├── NotFound          404  no such dataset, model, version, job ...
    ├── Conflict          409  the thing is in a state that does not allow this
    ├── TooLarge          413  a body or file over its limit
    ├── BrokenRow         422  a row that breaks the signature; names the column
    ├── Overloaded        429  try again in a moment
    ├── Cancelled         499  somebody asked for this work to stop
    ├── Corrupted         500  stored bytes are not what was stored
    ├── Unavailable       503  the appliance, or a part of it, is not running
    ├── DeadlineExceeded  504  it took longer than it was allowed
    └── NoSpace           507  the disk is full

`message` is one line saying what is wrong, `hint` one line saying what to do. The CLI prints both,
the HTTP edges map `status` once. Private causes stay in `__cause__` and never reach a user.
"""

from __future__ import annotations

from typing import Any, ClassVar


class FalajError(Exception):
    """Base of every error that a user may be shown."""

    status: ClassVar[int] = 500

    def __init__(self, message: str, hint: str = "", *, column: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.column = column

    def as_json(self) -> dict[str, Any]:
        """The body of an HTTP error: `{"error", "hint"}`, with `column` when one is at fault."""
        body: dict[str, Any] = {"error": self.message, "hint": self.hint}
        if self.column is not None:
            body["column"] = self.column
        return body


class BadInput(FalajError):
    status = 400


class Unauthenticated(FalajError):
    status = 401


class Forbidden(FalajError):
    status = 403


class NotFound(FalajError):
    status = 404


class Conflict(FalajError):
    status = 409


class TooLarge(FalajError):
    status = 413


class BrokenRow(FalajError):
    status = 422


class Overloaded(FalajError):
    status = 429
    retry_after = 1  # seconds


class Cancelled(FalajError):
    status = 499


class Corrupted(FalajError):
    status = 500


class Unavailable(FalajError):
    status = 503


class DeadlineExceeded(FalajError):
    status = 504


class NoSpace(FalajError):
    status = 507


def rebuild(body: dict[str, Any], kind: str) -> FalajError:
    """The error that `as_json` described in another process, by its class name."""
    tree: dict[str, type[FalajError]] = {one.__name__: one for one in FalajError.__subclasses__()}
    error = tree.get(kind, FalajError)(str(body.get("error", "")), str(body.get("hint", "")))
    error.column = body.get("column")
    return error


def rebuild_from_status(body: dict[str, Any], status: int) -> FalajError:
    """The error behind an HTTP answer; the first class of that status stands for all of them."""
    kinds = {one.status: one.__name__ for one in reversed(FalajError.__subclasses__())}
    return rebuild(body, kinds.get(status, "FalajError"))
