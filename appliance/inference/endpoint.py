"""The HTTP endpoint of one worker: an RSGI application, one coroutine a request.

It parses, authorises, calls `Plane.infer` and renders; it decides nothing about models. Short work runs
inline on the event loop; anything expected to take over a millisecond runs in a small pool under the
request's deadline. Errors leave as {"error", "hint"}; a traceback stays in the server's log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any

from appliance.config import InferenceSettings
from appliance.data.signature import Signature
from appliance.errors import DeadlineExceeded, FalajError, Overloaded, Unavailable
from appliance.inference import codec, named, routes, wire
from appliance.inference.bodies import SMALL, BodyReader, Gone
from appliance.inference.plane import Plane, Prediction
from appliance.inference.recording import Recorder, Silence
from appliance.inference.routes import Door, Route

log = logging.getLogger(__name__)

POOL_THREADS = 2  # large batches at once in one worker; more would only wait for the same processor cores
HANGS_UP = frozenset({408, 413})  # statuses after which the rest of the body is not wanted
GONE = 499  # status counted for a client that hung up (as nginx does)
_SETTLED = 0.02
Headers = list[tuple[str, str]]
Codec = (
    Any  # the modules codec and named: parse(body, signature), render(prediction, asked, request_id) -> bytes
)
_JSON = ("content-type", "application/json")
_Answer = tuple[bytes, Prediction]  # the reply, and what it says
_METRICS = "text/plain; version=0.0.4"
_CODECS: dict[Door, Codec] = {Door.INFER: codec, Door.PREDICT: named}


class Endpoint:
    """`authorise(token, model)` -> who; raises Unauthenticated, Forbidden or NotFound; `ready()`: /readyz."""

    def __init__(
        self,
        plane: Plane,
        authorise: Callable[[str | None, str | None], str],
        settings: InferenceSettings,
        ready: Callable[[], bool],
        *,
        on_start: Callable[[asyncio.AbstractEventLoop], None] | None = None,
        on_refused: Callable[[str, int], None] = lambda client, status: None,
        recorder: Recorder | None = None,
    ) -> None:
        self.plane = plane
        self.settings = settings
        self.served = 0  # prediction requests answered below 500
        self.failed = 0  # answered with 500 or above: the requests that a deploy would have dropped
        self.in_flight = 0
        self.draining = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._authorise = authorise
        self._ready = ready
        self._on_start = on_start
        self._on_refused = on_refused
        self._recorder = recorder or Silence()
        self._bodies = BodyReader(settings.body_deadline, settings.max_body_mb * 1024 * 1024)
        self._max_in_flight = settings.max_in_flight
        self._routes: dict[str, Route] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._sweep: asyncio.Task[None] | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by the server before the first request, with the loop not yet running."""
        self.loop = loop
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="falaj-batch")
        self._sweep = loop.create_task(self._bodies.sweep())
        if self._on_start is not None:
            self._on_start(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def settled(self) -> None:
        """Until every prediction request that has begun by now is answered."""
        while self.in_flight:
            await asyncio.sleep(_SETTLED)

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        path = scope.path
        route = self._routes.get(path)
        try:
            if route is None:
                route = routes.find(path)
            verb = scope.method
            if verb not in routes.VERBS[route.door]:
                _refuse_verb(proto, verb, routes.VERBS[route.door])
            elif verb == "POST":
                await self._answer(scope, proto, path, route)
            elif route.door is Door.METRICS:
                await self._tell_metrics(scope, proto)
            else:
                self._tell(scope, proto, route)
        except FalajError as error:  # of a path; the others are answered where they arise
            _send_error(proto, error, wire.request_id())

    async def _answer(self, scope: Any, proto: Any, path: str, route: Route) -> None:
        """One prediction request, from its headers to its reply; counted exactly once, whatever happens."""
        begun = perf_counter()
        request_id = wire.request_id()
        self.in_flight += 1
        status, answer = 500, None
        try:
            answer = await self._predict(scope.headers, proto, route, request_id, begun)
            proto.response_bytes(200, [_JSON, ("x-request-id", request_id)], answer[0])
            status = 200
            if path not in self._routes and len(self._routes) < 1024:
                self._routes[path] = route  # only paths that worked: clients cannot fill it
        except FalajError as error:
            status = error.status
            self._refuse(scope, proto, error, request_id)
        except Gone:
            status = GONE
        except asyncio.CancelledError:
            status = GONE
            raise
        except Exception:
            log.exception("request %s failed", request_id)
            _send_error(proto, _unexpected(request_id), request_id)
        finally:
            self.in_flight -= 1
            seconds = perf_counter() - begun
            if answer is not None and status == 200:
                self.served += 1
                self._recorder.answered(seconds, request_id, *answer)
            else:
                self._count_failure(route.model, status, seconds)

    async def _predict(
        self, headers: Any, proto: Any, route: Route, request_id: str, begun: float
    ) -> tuple[bytes, Prediction, str, bytes]:
        """(reply, prediction, who asked, request: empty where it is too long to be held on to)."""
        model = route.model
        who = self._authorise(_token(headers), model)
        if self.draining:
            raise Unavailable("The appliance is stopping.", "Try again in a moment.")
        if self.in_flight > self._max_in_flight:
            raise Overloaded(
                f"{self._max_in_flight} requests are being answered already.", "Try again in a moment."
            )
        served = self.plane.current(model, route.version)
        body = await self._bodies.read(proto, headers.get("content-length"), begun)
        door, size = _CODECS[route.door], len(body)
        if size > SMALL:
            work = [partial(self._parse_and_infer, door, body, served.signature, route, request_id)]
        else:
            asked = door.parse(body, served.signature)
            if asked.n <= served.inline_rows:
                return *self._infer(door, asked, route, request_id), who, body
            work = [partial(self._infer, door, asked, route, request_id)]
            del asked
        kept = body if size <= SMALL else b""
        del body  # a large one that waits for the pool is held by `work` alone
        return *await self._in_pool(begun, work, size), who, kept

    def _parse_and_infer(self, door: Codec, body: bytes, signature: Signature, *rest: Any) -> _Answer:
        return self._infer(door, door.parse(body, signature), *rest)

    def _infer(self, door: Codec, asked: Any, route: Route, request_id: str) -> _Answer:
        prediction = self.plane.infer(route.model, version=route.version, **asked.given)
        return door.render(prediction, asked, request_id), prediction

    async def _in_pool(self, begun: float, work: list[partial[_Answer]], size: int) -> _Answer:
        """The answer of the one call in `work`, whose body of `size` bytes counts until it is let go.

        That is not when the deadline passes: a call that runs goes on, and one that waits stays in the
        pool's queue until a thread comes to it; so that one is taken out of `work`.
        """
        assert self._pool is not None

        def end(_: object = None) -> None:
            work.clear()
            self._bodies.release(size)

        try:
            future = self._pool.submit(lambda: work.pop()())
        except BaseException:  # no thread to be had
            end()
            raise
        future.add_done_callback(end)  # ended, or cancelled before it began
        left = begun + self.settings.request_deadline - perf_counter()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), left)
        except TimeoutError:
            raise DeadlineExceeded(
                f"The prediction took longer than {self.settings.request_deadline:g} seconds.",
                "Send fewer rows in each request.",
            ) from None

    def _count_failure(self, model: str, status: int, seconds: float) -> None:
        """A request that got no answer: refused, failed, or its client is gone."""
        if status >= 500:
            self.failed += 1
        elif status != GONE:
            self.served += 1
        version = self.plane.version(model)
        self._recorder.refused(model if version else "", version, status, seconds)

    async def _tell_metrics(self, scope: Any, proto: Any) -> None:
        """Prometheus text; it is read from telemetry, so in a thread."""
        request_id = wire.request_id()
        try:
            self._authorise(_token(scope.headers), None)
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._pool, self._recorder.exposition, self.in_flight)
        except FalajError as error:
            self._refuse(scope, proto, error, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            _send_error(proto, _unexpected(request_id), request_id)
        else:
            content = b"" if scope.method == "HEAD" else body.encode()
            proto.response_bytes(200, [("content-type", _METRICS)], content)

    def _tell(self, scope: Any, proto: Any, route: Route) -> None:
        """Everything that is read, not predicted; never waits."""
        try:
            body = self._look_up(scope.headers, route)
        except FalajError as error:
            self._refuse(scope, proto, error, wire.request_id())
        except Exception:
            request_id = wire.request_id()
            log.exception("request %s failed", request_id)
            _send_error(proto, _unexpected(request_id), request_id)
        else:
            proto.response_bytes(200, [_JSON], b"" if scope.method == "HEAD" else body)

    def _look_up(self, headers: Any, route: Route) -> bytes:
        """The body of a read. Health is open to all; whatever names a model needs a token."""
        plane = self.plane
        document: Any
        match route.door:
            case Door.LIVE | Door.V2_LIVE:
                document = {"live": True}
            case Door.READY | Door.V2_READY:
                if self.draining or not self._ready():
                    raise Unavailable(
                        "The appliance is not ready yet, or is stopping.", "Try again in a moment."
                    )
                document = {"live": True, "ready": True}
            case Door.SERVER:
                document = codec.server_metadata()
            case Door.MODELS:
                token = _token(headers)
                self._authorise(token, None)
                document = {"models": [model for model in plane.models() if self._may(token, model)]}
            case _:
                self._authorise(_token(headers), route.model)
                served = plane.current(route.model, route.version)
                if route.door is Door.MODEL_READY:
                    document = {"name": served.model, "ready": True}
                else:
                    document = codec.model_metadata(served)
        return wire.dumps(document)

    def _refuse(self, scope: Any, proto: Any, error: FalajError, request_id: str) -> None:
        if error.status in (401, 403):
            self._on_refused(scope.client, error.status)
        _send_error(proto, error, request_id)

    def _may(self, token: str | None, model: str) -> bool:
        try:
            self._authorise(token, model)
        except FalajError:
            return False
        return True


def _token(headers: Any) -> str | None:
    """From `Authorization: Bearer TOKEN` (the word in any case), else from `X-Api-Key`."""
    given: str | None = headers.get("authorization")
    if given is None:
        key: str | None = headers.get("x-api-key")
        return key
    if given[:7].lower() == "bearer ":
        return given[7:].strip()
    return None


def _send_error(proto: Any, error: FalajError, request_id: str) -> None:
    headers: Headers = [_JSON, ("x-request-id", request_id)]
    if error.status in (429, 503):
        headers.append(("retry-after", "1"))
    elif error.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if error.status in HANGS_UP:
        headers.append(("connection", "close"))
    proto.response_bytes(error.status, headers, wire.dumps_error(error.as_json()))


def _refuse_verb(proto: Any, verb: str, allowed: tuple[str, ...]) -> None:
    body = {"error": f"This address does not take {verb}.", "hint": f"Use {' or '.join(allowed)}."}
    proto.response_bytes(405, [_JSON, ("allow", ", ".join(allowed))], wire.dumps(body))


def _unexpected(request_id: str) -> FalajError:
    return FalajError(
        "Something went wrong inside the appliance.",
        f"The log of the appliance says more under {request_id}.",
    )
