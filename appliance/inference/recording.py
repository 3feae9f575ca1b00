"""What the endpoint tells of every request; monitoring's recorder is handed to it, it imports none."""

from __future__ import annotations

from typing import Protocol

from appliance.inference.plane import Prediction


class Recorder(Protocol):
    """Called on the event loop, after the client has its reply; may not wait."""

    def answered(
        self, seconds: float, request_id: str, reply: bytes, answer: Prediction, token: str, request: bytes
    ) -> None:
        """Rows were answered; `request` is empty where the body was too long to be held on to."""

    def refused(self, model: str, version: int, status: int, seconds: float) -> None:
        """A request ended without an answer; the model is "" where it named no deployed one."""

    def exposition(self, in_flight: int) -> str:
        """Prometheus text; blocking, for another thread."""


class Silence:
    """Records nothing."""

    def answered(
        self, seconds: float, request_id: str, reply: bytes, answer: Prediction, token: str, request: bytes
    ) -> None: ...

    def refused(self, model: str, version: int, status: int, seconds: float) -> None: ...

    def exposition(self, in_flight: int) -> str:
        return ""
