"""A deploy never drops a request, and no request is answered by two versions."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from appliance.errors import Conflict, FalajError, NotFound
from appliance.inference.plane import Plane, prepare
from appliance.runtimes import CannotLoad

pytestmark = pytest.mark.processes

ROW = {"sl": 5.1, "sw": 3.5, "pl": 1.4, "pw": 0.2}
X = np.array([list(ROW.values())], np.float32)


def test_swaps_under_load_over_http(launch, graphs):
    server = launch(models=["iris"])
    answers = {v: graphs.Reference(width=4, classes=3, hidden=8, seed=v).answer(X)[0] for v in range(1, 7)}
    lowest = [1]  # no request begun after a deploy may be answered by an older version
    wrong, counts, stop = [], [], threading.Event()

    def load():
        seen = 0
        with server.client() as client:
            while not stop.is_set():
                floor = lowest[0]
                answer = client.post("/predict/iris", json={"rows": [ROW]})
                if answer.status_code != 200:
                    wrong.append(answer.text)
                    continue
                body = answer.json()
                got = list(body["predictions"][0]["probabilities"].values())
                if body["version"] < floor or not np.allclose(got, answers[body["version"]], atol=1e-5):
                    wrong.append((floor, body))
                seen += 1
        counts.append(seen)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 7):
            time.sleep(0.1)
            assert server.tell(f"switch iris {version}") == {"drained": True}
            lowest[0] = version
        time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert wrong == []
    assert min(counts) > 20
    state = server.tell("state")
    assert (state["failed"], state["served"]) == (0, sum(counts))


def test_a_request_ends_on_the_version_it_began_with(launch):
    server = launch(models=["slow"])
    got = []

    def ask():
        with server.client() as client:
            got.append(client.post("/predict/slow", json={"rows": [{"x": 5.0}]}).json())

    with server.client() as client:
        client.get("/healthz")
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        server.wait_for("in_flight")
        begun = time.monotonic()
        assert server.tell("switch slow 2") == {"drained": True}  # prepares for longer than the request runs
        thread.join(20)
        assert time.monotonic() - begun < 15
        assert (got[0]["version"], got[0]["predictions"]) == (1, [{"value": 5.0}])
        after = client.post("/predict/slow", json={"rows": [{"x": 5.0}]}).json()
        assert (after["version"], after["predictions"]) == (2, [{"value": 10.0}])
        server.tell("unload slow")
        assert client.post("/predict/slow", json={"rows": [{"x": 5.0}]}).status_code == 404


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_plane_swaps_under_threads(artefact, graphs, runtime):
    """The plane alone, from eight threads: a drained version is closed, and nobody ever meets one."""
    plane = Plane()
    versions = [prepare(artefact("iris", v, runtime)) for v in range(1, 7)]
    answers = {v: graphs.Reference(width=4, classes=3, hidden=8, seed=v).answer(X) for v in range(1, 7)}
    plane.switch("iris", versions[0])
    wrong, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            try:
                found = plane.infer("iris", rows=[ROW])
            except FalajError as error:
                wrong.append(error.message)
                continue
            if not np.allclose(found.values, answers[found.version], atol=1e-5):
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for served in versions[1:]:
            time.sleep(0.02)
            old = plane.switch("iris", served)
            assert plane.drain(old, 10)
            with pytest.raises(Conflict):
                old.session.run(X)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert wrong == []


def test_drain_waits_and_says_when_it_gave_up(artefact):
    plane = Plane()
    plane.switch("slow", prepare(artefact("slow", 1)))
    got = []
    thread = threading.Thread(target=lambda: got.append(plane.infer("slow", rows=[{"x": 3.0}])), daemon=True)
    thread.start()
    served = plane.current("slow")
    assert served.inline_rows == 0  # never on the event loop
    until = time.monotonic() + 20
    while not served.in_flight:
        assert time.monotonic() < until
        time.sleep(0.001)
    assert plane.switch("slow", None) is served
    assert not plane.drain(served, 0.01)  # still inside, so still open
    assert plane.drain(served, 10)
    thread.join(20)
    assert got[0].values.tolist() == [[3.0]]
    assert served.in_flight == 0
    with pytest.raises(NotFound, match="No model named 'slow'"):
        plane.infer("slow", rows=[])


def test_a_failed_request_is_not_counted_inside_for_ever(artefact):
    plane = Plane()
    served = prepare(artefact("iris", 1))
    plane.switch("iris", served)
    for bad in (
        {"rows": [{"nope": 1}]},
        {"columns": {"sl": ["x"]}},
        {"matrix": [[1.0]]},
        {"rows": [{}], "version": 9},
    ):
        with pytest.raises(FalajError):
            plane.infer("iris", **bad)
    assert served.in_flight == 0


def test_three_ways_to_give_rows_agree(artefact):
    plane = Plane()
    plane.switch("iris", prepare(artefact("iris", 1)))
    table = [[5.1, 3.5, 1.4, 0.2], [None, 1.0, 2.0, 3.0]]
    columns = {name: [row[i] for row in table] for i, name in enumerate(ROW)}
    rows = [dict(zip(ROW, row, strict=True)) for row in table]
    values = [
        plane.infer("iris", **given).values
        for given in ({"rows": rows}, {"columns": columns}, {"matrix": table})
    ]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    assert plane.infer("iris", matrix=[]).values.shape == (0, 3)


def test_prepare_refuses_what_is_not_right(artefact):
    import dataclasses

    good = artefact("iris", 3)
    assert prepare(good).inline_rows > 1
    wrong = good.proof_expected.copy()
    wrong[1] += 0.01
    with pytest.raises(CannotLoad, match=r"iris:3 fails its proof on onnxruntime: .* differ by up to 0.01"):
        prepare(dataclasses.replace(good, proof_expected=wrong))
    with pytest.raises(CannotLoad, match=r"takes 4 numbers and gives 3, but the signature says 1 and 1"):
        prepare(dataclasses.replace(good, signature=artefact("slow", 1).signature))
    with pytest.raises(CannotLoad, match="no proof rows"):
        prepare(dataclasses.replace(good, proof_rows=good.proof_rows[:0], proof_expected=wrong[:0]))
    with pytest.raises(CannotLoad, match="onnxruntime cannot load"):
        prepare(dataclasses.replace(good, graph=good.graph[:-400]))
    with pytest.raises(NotFound, match="no runtime named"):
        prepare(dataclasses.replace(good, runtime="abacus"))


def test_a_version_answers_only_under_its_name(artefact):
    with pytest.raises(FalajError, match="cannot answer for"):
        Plane().switch("iris", prepare(artefact("price", 1)))
