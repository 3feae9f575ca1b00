"""What a request may cost in memory: the shapes it claims, and its body for as long as anything holds it.

The endpoint runs in this process, with a stand-in for the server's side (one object for a connection) and a
gate before the real session, so that a test decides how long a prediction takes.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import tracemalloc
from types import SimpleNamespace

import pytest

from appliance.config import InferenceSettings
from appliance.errors import BadInput, BrokenRow, FalajError
from appliance.inference import codec, wire
from appliance.inference.bodies import BUDGET_BODIES, SMALL
from appliance.inference.endpoint import POOL_THREADS, Endpoint, _send_error
from appliance.inference.plane import Plane, prepare

LIMIT = 1024 * 1024


class Gate:
    """A session that lets nobody through until it is opened."""

    def __init__(self, session):
        self.session = session
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def run(self, x):
        self.entered.release()
        assert self.open.wait(30)
        return self.session.run(x)


class Connection:
    """The server's side of one request: hands out the body in chunks, takes one answer."""

    def __init__(self, body, chunk=LIMIT // 4):
        self.chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
        self.status = 0
        self.body = b""

    async def __call__(self):
        return b"".join(self.chunks)

    async def __aiter__(self):
        while self.chunks:
            yield self.chunks.pop(0)
            await asyncio.sleep(0)

    def response_bytes(self, status, headers, body):
        self.status, self.headers, self.body = status, dict(headers), body


class Stage:
    """An endpoint for the model iris behind a gate."""

    def __init__(self, artefact, **settings):
        self.plane = Plane()
        served = prepare(artefact("iris", 1))
        self.gate = served.session = Gate(served.session)
        self.plane.switch("iris", served)
        settings = InferenceSettings(max_body_mb=1, **settings)
        self.endpoint = Endpoint(self.plane, lambda token, model: "", settings, lambda: True)
        self.endpoint.__rsgi_init__(asyncio.get_running_loop())

    def close(self):
        self.gate.open.set()
        self.endpoint.__rsgi_del__(asyncio.get_running_loop())
        self.endpoint._pool.shutdown()

    @property
    def held(self):
        return self.endpoint._bodies._held

    def send(self, body, sized=True):
        """(the connection, the task that answers it)"""
        headers = {"content-length": str(len(body))} if sized else {}
        scope = SimpleNamespace(path="/predict/iris", method="POST", headers=headers)
        connection = Connection(body)
        return connection, asyncio.ensure_future(self.endpoint.__rsgi__(scope, connection))

    async def until(self, true, seconds=10.0):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.002)


@pytest.fixture
def on_stage(artefact):
    """on_stage(scene, **settings): run the coroutine function `scene` with a Stage."""

    def play(scene, **settings):
        async def whole():
            stage = Stage(artefact, **settings)
            try:
                await scene(stage)
            finally:
                stage.close()

        asyncio.run(whole())

    return play


def padded(size=LIMIT):
    body = b'{"rows": [{"sl": 1.0}]}'
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("sized", [True, False])
def test_bodies_count_while_they_wait_for_the_pool(on_stage, sized):
    """With two slow predictions, the rest of the bodies lie in the pool's queue: they are in the budget."""

    async def scene(stage):
        sent = [stage.send(padded(), sized) for _ in range(BUDGET_BODIES)]
        await stage.until(lambda: stage.held == BUDGET_BODIES * LIMIT)
        await stage.until(lambda: not any(connection.chunks for connection, _ in sent))
        late, task = stage.send(padded(), sized)
        await task
        assert (late.status, late.headers["retry-after"]) == (429, "1")
        assert "Too many large requests" in json.loads(late.body)["error"]
        assert stage.held == BUDGET_BODIES * LIMIT
        tiny, task = stage.send(b"{}")
        await task
        assert tiny.status == 400  # small ones go on
        stage.gate.open.set()
        await asyncio.gather(*(task for _, task in sent))
        assert {connection.status for connection, _ in sent} == {200}
        assert stage.held == 0
        again, task = stage.send(padded(), sized)
        await task
        assert again.status == 200

    on_stage(scene)


def test_a_deadline_frees_what_waits_and_not_what_runs(on_stage):
    async def scene(stage):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            sent = [stage.send(padded()) for _ in range(BUDGET_BODIES)]
            await asyncio.gather(*(task for _, task in sent))
            assert {connection.status for connection, _ in sent} == {504}
            assert stage.held == POOL_THREADS * LIMIT  # they run on, and hold their bodies
            # The others are gone from the pool's queue too, not only from the count.
            assert tracemalloc.get_traced_memory()[0] - before < (POOL_THREADS + 0.5) * LIMIT
            stage.gate.open.set()
            await stage.until(lambda: stage.held == 0)
            await stage.until(lambda: tracemalloc.get_traced_memory()[0] - before < 0.5 * LIMIT)
        finally:
            tracemalloc.stop()

    on_stage(scene, request_deadline=0.5)


def test_a_client_that_leaves_the_queue_gives_its_share_back(on_stage):
    async def scene(stage):
        running = [stage.send(padded()) for _ in range(POOL_THREADS)]
        for _ in running:
            await asyncio.to_thread(stage.gate.entered.acquire)
        _, waiting = stage.send(padded())
        await stage.until(lambda: stage.held == (POOL_THREADS + 1) * LIMIT)
        for task in (waiting, running[0][1]):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert stage.held == POOL_THREADS * LIMIT
        stage.gate.open.set()
        await stage.until(lambda: stage.held == 0)

    on_stage(scene)


@pytest.mark.parametrize(
    ("body", "sized", "status"),
    [
        (b"[" + b" " * SMALL, True, 400),
        (b'{"rows": [{"sl": "wide"}]}' + b" " * SMALL, True, 422),
        (padded(LIMIT + 1), True, 413),
        (padded(LIMIT + 1), False, 413),
        (padded(SMALL), False, 200),
        (padded(SMALL + 1), False, 200),
        (padded(SMALL + 1), True, 200),
    ],
)
def test_every_ending_gives_the_share_back(on_stage, body, sized, status):
    async def scene(stage):
        stage.gate.open.set()
        connection, task = stage.send(body, sized)
        await task
        assert connection.status == status
        assert stage.held == 0

    on_stage(scene)


def test_without_a_pool_thread_the_share_comes_back(on_stage):
    async def scene(stage):
        stage.gate.open.set()
        stage.endpoint._pool.shutdown()
        connection, task = stage.send(padded())
        await task
        assert (connection.status, stage.held) == (500, 0)

    on_stage(scene)


def infer_body(shape, data=()):
    entry = {"name": "input", "shape": shape, "datatype": "FP64", "data": list(data)}
    return json.dumps({"inputs": [entry]}).encode()


@pytest.mark.parametrize(
    "shape", [[12_000_000, 0], [0, 12_000_000], [12_000_000], [12_000_000, 4], [2**63, 2**63], [0, 0]]
)
def test_a_few_bytes_claim_no_memory(artefact, shape):
    signature = artefact("iris", 1).signature
    body = infer_body(shape)
    tracemalloc.start()
    try:
        with pytest.raises((BadInput, BrokenRow)):
            codec.parse(body, signature)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_table_is_compared_with_the_model_before_it_is_cut_into_rows(artefact):
    body = infer_body([50_000, 1], [1.5] * 50_000)
    with pytest.raises(BrokenRow, match="has 4 columns, but the input 'input' has 1"):
        codec.parse(body, artefact("iris", 1).signature)


def test_an_empty_table_of_the_right_width_is_no_mistake(artefact):
    asked = codec.parse(infer_body([0, 4]), artefact("iris", 1).signature)
    assert (asked.n, asked.given) == (0, {"matrix": []})


def test_many_inputs_of_different_names_and_one_twice(artefact):
    """One pass, however many there are."""
    entries = [f'{{"name":"{i}","shape":[0],"datatype":"FP64","data":[]}}' for i in [*range(30_000), 29_999]]
    body = f'{{"inputs":[{",".join(entries)}]}}'.encode()
    signature = artefact("iris", 1).signature
    begun = time.process_time()
    with pytest.raises(BadInput, match="'29999' is given twice"):
        codec.parse(body, signature)
    assert time.process_time() - begun < 2.0


def test_an_error_is_told_whatever_is_in_it():
    connection = Connection(b"")
    error = FalajError("half a \ud800 character", "a hint", column="\udfff")
    _send_error(connection, error, "id")
    assert connection.status == 500
    assert json.loads(connection.body) == {"error": "half a ? character", "hint": "a hint", "column": "?"}


def test_a_deep_value_is_told_by_its_kind(artefact):
    """1000 levels can be read, but neither written nor shown as they are."""
    deep = "[" * 1000 + "]" * 1000
    body = f'{{"inputs":[{{"name":"sl","shape":[1],"datatype":{deep},"data":[1]}}]}}'
    with pytest.raises(BadInput, match="read: a list"):
        codec.parse(body.encode(), artefact("iris", 1).signature)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_the_largest_whole_numbers_stay_exact_beside_nan(number):
    assert wire.loads(b'{"a": [NaN, %d]}' % number)["a"][1] == number
