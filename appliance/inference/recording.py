"""What the endpoint tells of every request; monitoring's recorder is handed to it, it imports none."""

from __future__ import annotations

from typing import Protocol

from appliance.inference.plane import Prediction


class Recorder(Protocol):
    """`requested` is called on the event loop, `predicted` from any thread; neither may wait."""

    def requested(self, model: str, version: int, status: int, seconds: float) -> None:
        """A prediction request has ended; the model is "" where it named no deployed one."""

    def predicted(
        self, answer: Prediction, request_id: str, token: str, request: bytes, reply: bytes
    ) -> None:
        """Rows were answered; `request` is empty where the body is too long to be held on to."""

    def exposition(self, in_flight: int) -> str:
        """Prometheus text; blocking."""


class Silence:
    """Records nothing."""

    def requested(self, model: str, version: int, status: int, seconds: float) -> None: ...

    def predicted(
        self, answer: Prediction, request_id: str, token: str, request: bytes, reply: bytes
    ) -> None: ...

    def exposition(self, in_flight: int) -> str:
        return ""
