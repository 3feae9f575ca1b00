"""A form with a file, read as it arrives: the file goes straight into what seals it, never onto the disk.

Werkzeug's own form parser keeps large files in a temporary file, in plain text. Here the fields come first,
the token among them, then the file is a stream. RFC 7578, decoded by werkzeug's sans-io parser.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any

from flask import Request, g
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData, Preamble

from appliance.doors.guard import check_form_token
from appliance.errors import BadInput

_PIECE = 256 * 1024
_UNDECIDED = 4 * _PIECE
_FIELD_BYTES = 64 * 1024
_MOST_PARTS = 200


@dataclass(frozen=True)
class Upload:
    """The fields that came before the file, and the file."""

    fields: dict[str, list[str]]
    filename: str
    file: io.BufferedReader

    def text(self, name: str) -> str:
        return self.fields.get(name, [""])[-1]


def receive(request: Request) -> Upload:
    """Read a form up to its file. Raises BadInput without one, Forged without the session's token.

    How large the file may be is for whoever reads it to say; a form's other limits don't hold for it.
    """
    boundary = request.mimetype_params.get("boundary")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise BadInput("A file must come as multipart/form-data.", "For example: curl -F file=@sales.csv ...")
    request.max_content_length = sys.maxsize  # None would mean the limit of other requests (Flask 3.1)
    events = _Events(request.stream, boundary)
    fields: dict[str, list[str]] = {}
    name, value = "", bytearray()
    while not isinstance(event := events.next(), Epilogue):
        if isinstance(event, File):
            _check_token(request, fields)
            return Upload(fields, event.filename or "upload", io.BufferedReader(_Part(events), _PIECE))
        if isinstance(event, Field):
            name, value = event.name or "", bytearray()
        elif isinstance(event, Data):
            value += event.data
            if len(value) > _FIELD_BYTES:
                raise BadInput(f"The field '{name[:40]}' is too long.", "Shorten it.")
            if not event.more_data:
                fields.setdefault(name, []).append(value.decode("utf-8", "replace"))
    raise BadInput("No file came with the form.", "Choose a file; it must be the form's last field.")


def _check_token(request: Request, fields: dict[str, list[str]]) -> None:
    identity = g.identity
    if identity is not None and identity.csrf is None:
        return
    if "X-CSRF-Token" not in request.headers:
        check_form_token(request, identity, fields.get("csrf", [""])[-1])


class _Events:
    """The parts of a form, one event after the other."""

    def __init__(self, stream: Any, boundary: str) -> None:
        self._stream = stream
        # the limit is on what can't be handed on yet: a header or a preamble without an end
        self._decoder = MultipartDecoder(boundary.encode(), _UNDECIDED, max_parts=_MOST_PARTS)
        self._halved = f"--{boundary}-".encode()

    def next(self) -> Event:
        try:
            while isinstance(event := self._decoder.next_event(), NeedData | Preamble):
                if isinstance(event, NeedData):
                    self._feed()
        except (ValueError, RequestEntityTooLarge) as error:
            raise BadInput("The form broke off, or is not one.", "Send it again.") from error
        return event

    def _feed(self) -> None:
        """Give the decoder what has arrived.

        Never up to the middle of the last boundary's two dashes: werkzeug (3.1.9) then takes the carriage
        return before that boundary for the file's last byte.
        """
        while True:
            piece = self._stream.read(_PIECE)
            self._decoder.receive_data(piece or None)
            if not piece or not self._decoder.buffer.endswith(self._halved):
                return


class _Part(io.RawIOBase):
    """The bytes of the file."""

    def __init__(self, events: _Events) -> None:
        self._events = events
        self._rest = b""
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and self._more:
            event = self._events.next()
            if not isinstance(event, Data):
                raise BadInput("The form broke off, or is not one.", "Send it again.")
            self._rest, self._more = bytes(event.data), event.more_data
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
