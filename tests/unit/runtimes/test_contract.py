"""The one suite that every runtime passes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from appliance.errors import BadInput, Conflict, FalajError, NotFound
from appliance.runtimes import RUNTIMES, CannotLoad, open_runtime

EVERY = pytest.mark.parametrize("name", list(RUNTIMES))


@pytest.fixture(scope="module")
def reference(graphs):
    return graphs.Reference()


@pytest.fixture(params=list(RUNTIMES))
def session(request, reference):
    opened = open_runtime(request.param).load(reference.graph())
    yield opened
    opened.close()


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_gives_the_reference_numbers(session, reference, n):
    x = reference.rows(n, seed=n)
    got = session.run(x)
    assert got.shape == (n, reference.classes)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference.answer(x), atol=2e-6)
    assert (session.width, session.outputs) == (reference.width, reference.classes)


def test_sizes_may_alternate(session, reference):
    for n in [5, 1, 300, 1, 2, 1, 64, 3]:
        x = reference.rows(n, seed=n + 50)
        np.testing.assert_allclose(session.run(x), reference.answer(x), atol=2e-6)


def test_no_rows_in_no_rows_out(session, reference):
    got = session.run(np.empty((0, reference.width), np.float32))
    assert got.shape == (0, reference.classes)
    assert got.dtype == np.float32


def test_missing_values_reach_the_graph(session, reference):
    for n in (1, 40):
        x = reference.rows(n, seed=3, missing=0.4)
        np.testing.assert_allclose(session.run(x), reference.answer(x), atol=2e-6)
    blank = np.full((1, reference.width), np.nan, np.float32)
    np.testing.assert_allclose(session.run(blank), reference.answer(blank), atol=2e-6)


@pytest.mark.parametrize("n", [1, 9])
def test_answer_is_its_own_and_input_is_left_alone(session, reference, n):
    x, other = reference.rows(n, seed=1), reference.rows(n, seed=2)
    before = x.copy()
    first = session.run(x)
    kept = first.copy()
    session.run(other)
    np.testing.assert_array_equal(first, kept)
    first[:] = -1.0  # writable, and nobody else's
    np.testing.assert_array_equal(session.run(x), kept)
    np.testing.assert_array_equal(x, before)


def test_read_only_and_strided_rows_work(session, reference):
    x = reference.rows(8, seed=5)
    x.flags.writeable = False
    np.testing.assert_allclose(session.run(x), reference.answer(x), atol=2e-6)
    for view in (x[::2], np.asfortranarray(x), x[3:4]):
        np.testing.assert_allclose(session.run(view), reference.answer(view), atol=2e-6)


def hammer(run, reference, threads=8, calls=300):
    """Wrong answers of `threads` callers, each with rows of its own, all in `run` at once."""
    barrier = threading.Barrier(threads)

    def work(me):
        sizes = [1, 1, 1, 5] if me % 2 else [1]
        batches = [reference.rows(n, seed=1000 * me + i) for i, n in enumerate(sizes * 5)]
        answers = [reference.answer(x) for x in batches]
        barrier.wait()
        wrong = 0
        for call in range(calls):
            i = call % len(batches)
            got = run(batches[i])
            wrong += got.shape != answers[i].shape or not np.allclose(got, answers[i], atol=2e-6)
        return wrong

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def test_eight_threads_with_different_rows(session, reference):
    assert hammer(session.run, reference) == 0


def test_the_thread_test_has_teeth(graphs):
    """One OpenVINO request shared by the threads, as a careless session would have it, is caught."""
    from appliance.runtimes import openvino_runtime

    reference = graphs.Reference(hidden=2048)
    library = openvino_runtime.openvino
    core = library.Core()
    shared = core.compile_model(core.read_model(reference.graph()), "CPU").create_infer_request()

    def run(x):
        try:
            return shared.infer([x], share_inputs=True, share_outputs=True)[0].copy()
        except RuntimeError:  # "Infer Request is busy"
            return np.empty((0, 0), np.float32)

    assert hammer(run, reference, calls=60) > 0


def test_openvino_keeps_one_request_a_thread(reference):
    session = open_runtime("openvino").load(reference.graph())
    seen, hold = [], threading.Barrier(4)

    def work():
        session.run(reference.rows(1))
        mine = session._requests()
        seen.append((id(mine.one), id(mine.many)))
        hold.wait()  # all four alive at once, so that no id is used twice

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    assert len({one for one, _ in seen}) == len({many for _, many in seen}) == 4


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((1, 29), np.float32),
        np.zeros((3, 31), np.float32),
        np.zeros(30, np.float32),
        np.zeros((1, 1, 30), np.float32),
        np.zeros((0, 29), np.float32),
        np.zeros((1, 30), np.float64),
        np.zeros((1, 30), np.int32),
        [[0.0] * 30],
    ],
    ids=lambda bad: f"{getattr(bad, 'dtype', 'list')}{list(np.shape(bad))}",
)
def test_anything_but_the_right_table_is_refused(session, bad):
    with pytest.raises(BadInput, match=r"model takes"):
        session.run(bad)


@EVERY
def test_threads_can_be_given(name, reference):
    session = open_runtime(name).load(reference.graph(), threads=2)
    x = reference.rows(500)
    np.testing.assert_allclose(session.run(x), reference.answer(x), atol=2e-6)
    session.close()


@EVERY
def test_two_sessions_do_not_mix(name, graphs):
    references = [graphs.Reference(seed=seed, width=4 + seed) for seed in (0, 1)]
    sessions = [open_runtime(name).load(each.graph()) for each in references]
    for _ in range(3):
        for each, session in zip(references, sessions, strict=True):
            x = each.rows(1)
            np.testing.assert_allclose(session.run(x), each.answer(x), atol=2e-6)
    sessions[0].close()
    x = references[1].rows(2)
    np.testing.assert_allclose(sessions[1].run(x), references[1].answer(x), atol=2e-6)
    sessions[1].close()


@EVERY
@pytest.mark.parametrize("bytes_of", ["empty", "noise", "cut", "text"])
def test_broken_graph_is_refused_in_one_line(name, reference, bytes_of, capfd):
    graph = {
        "empty": b"",
        "noise": bytes(range(256)) * 8,
        "cut": reference.graph()[:-900],
        "text": b"not a model\n",
    }[bytes_of]
    with pytest.raises(CannotLoad) as caught:
        open_runtime(name).load(graph)
    error = caught.value
    assert isinstance(error, FalajError)
    assert error.hint
    assert "\n" not in error.message
    assert error.message.startswith(f"{name} cannot")
    written = capfd.readouterr()
    assert written.out == written.err == ""  # the library said nothing of its own


@EVERY
def test_unfit_graphs_are_refused(name, graphs):
    from onnx import TensorProto, helper

    double = graphs.model_bytes(
        [helper.make_node("Identity", ["input"], ["output"])], 3, 3, {}, TensorProto.DOUBLE
    )
    loose = graphs.model_bytes([helper.make_node("Identity", ["input"], ["output"])], "d", "d", {})
    for graph in (double, loose):
        with pytest.raises(CannotLoad, match="input is"):
            open_runtime(name).load(graph)


def test_trees_run_on_onnxruntime(graphs):
    session = open_runtime("onnxruntime").load(graphs.stump())
    x = np.array([[0.5, 0], [0.6, 0], [-3, 9]], np.float32)
    np.testing.assert_array_equal(session.run(x), [[10], [20], [10]])


def test_trees_on_openvino_are_refused_with_the_reason(graphs):
    with pytest.raises(CannotLoad, match=r"no operator .*TreeEnsembleRegressor") as caught:
        open_runtime("openvino").load(graphs.stump())
    assert "onnxruntime" in caught.value.hint


def test_closed_session_says_so(session, reference):
    x = reference.rows(1)
    session.run(x)
    session.close()
    session.close()
    for rows in (x, reference.rows(3), reference.rows(0)):
        with pytest.raises(Conflict, match="closed"):
            session.run(rows)


def test_close_lets_running_calls_finish(session, reference):
    x = reference.rows(1)
    expected = reference.answer(x)
    wrong, ended = [], []

    def work():
        while True:
            try:
                got = session.run(x)
            except Conflict:
                ended.append(True)
                return
            if not np.allclose(got, expected, atol=2e-6):
                wrong.append(got)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    session.close()
    for thread in threads:
        thread.join(10)
    assert len(ended) == 4
    assert not wrong


@EVERY
def test_version_is_a_version(name):
    assert open_runtime(name).version().split(".")[0].isdigit()
    assert open_runtime(name).name == name


def test_unknown_runtime_names_the_known_ones():
    with pytest.raises(NotFound) as caught:
        open_runtime("tensorrt")
    assert "onnxruntime" in caught.value.hint
    assert "openvino" in caught.value.hint
