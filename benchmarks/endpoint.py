"""How much of the server's own speed the endpoint keeps, by concurrency.

    python -m benchmarks.endpoint [--seconds 2] [--rounds 5] [--connections 1,8,32,128] [--json]

Four handlers in processes of their own, on the same server set-up, with one worker each and the same
one-row question of 30 columns:

    constant   a fixed reply: the ceiling
    bare       parse, encode, run, reply, as anyone would write it in ten lines; no token, deadline, limits
    silent     our endpoint with its real token check, and nothing recorded
    endpoint   the same with telemetry and the prediction log on, as it is installed

They run interleaved, round by round, on one machine together with the client. So ratios count and rates
don't: each ratio is the median over the rounds of two figures taken seconds apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from onnx import TensorProto, helper, numpy_helper

from appliance import config, home
from appliance.config import InferenceSettings
from appliance.daemon import sockets
from appliance.daemon.listener import Listener
from appliance.daemon.rsgi import serve_rsgi
from appliance.data.signature import Column, Feature, Signature
from appliance.data.types import Kind
from appliance.inference.doorkeeper import Doorkeeper
from appliance.inference.endpoint import Endpoint
from appliance.inference.plane import Artefact, Plane, prepare
from appliance.inference.recording import Silence
from appliance.monitoring.recorder import Recorder
from appliance.security import local_token
from appliance.validation.reference import reference
from benchmarks.load import Measured, Question, saturate

COLUMNS = 30
JSON = [("content-type", "application/json")]
ROW = {f"column_{i}": round(0.37 * i + 0.123456, 6) for i in range(COLUMNS)}
BODY = json.dumps({"rows": [ROW]})
HANDLERS = ("constant", "bare", "silent", "endpoint")


def artefact() -> Artefact:
    """A logistic regression of 30 columns, as plain operators."""
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(COLUMNS, 2)).astype(np.float32) / 9, np.zeros(2, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["input", "w", "b"], ["z"]),
            helper.make_node("Softmax", ["z"], ["output"]),
        ],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", COLUMNS])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    signature = Signature(tuple(Column(name, Kind.NUMBER) for name in ROW), "y", "binary", ("no", "yes"))
    rows = rng.normal(size=(2000, COLUMNS)).astype(np.float32)
    e = np.exp(rows @ weights)
    expected = (e / e.sum(1, keepdims=True)).astype(np.float32)
    bins = reference(rows, [Feature(name, name, Kind.NUMBER) for name in ROW], expected)
    return Artefact(
        "m", 1, data.SerializeToString(), signature, "onnxruntime", rows[:5], expected[:5], 1e-5, bins
    )


class Constant:
    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        proto.response_bytes(200, JSON, b'{"predictions":[]}')


class Bare:
    """What anyone would write in ten lines."""

    def __init__(self) -> None:
        self.served = prepare(artefact())

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        rows = orjson.loads(await proto())["rows"]
        signature = self.served.signature
        answers = []
        for row in self.served.session.run(signature.encode(rows)).tolist():
            top = max(row)
            answers.append({"label": signature.labels[row.index(top)], "probability": top})
        proto.response_bytes(200, JSON, orjson.dumps({"model": "m", "version": 1, "predictions": answers}))


def endpoint(folder: Path, *, recorded: bool) -> Endpoint:
    """Ours: the token book, the counts of token use, telemetry and log of a real home."""
    opened = home.create(folder)
    local_token.make_local_token(opened.run_dir)
    doorkeeper = Doorkeeper(opened)
    doorkeeper.start()
    plane = Plane()
    plane.switch("m", prepare(artefact()))
    recorder = Recorder(opened.telemetry, log_predictions=True)
    recorder.start()
    told = recorder if recorded else Silence()
    return Endpoint(plane, doorkeeper.authorise, InferenceSettings(), lambda: True, recorder=told)


def serve(name: str, folder: Path) -> None:
    """The child process: print port and token, then answer."""
    made: Any
    match name:
        case "constant":
            made = Constant()
        case "bare":
            made = Bare()
        case _:
            made = endpoint(folder, recorded=name == "endpoint")
    token = local_token.local_token(config.load(folder).run_dir) if isinstance(made, Endpoint) else "none"
    sock = sockets.listen_all("127.0.0.1", 0, "inference.port")[0]
    print(sock.getsockname()[1], token, flush=True)
    serve_rsgi(made, [Listener(sock)], sockets.BACKLOG)


def measure(seconds: float, rounds: int, connections: list[int]) -> dict[int, dict[str, list[Measured]]]:
    """Every handler at every concurrency, interleaved; the first round warms up and is left out."""
    found: dict[int, dict[str, list[Measured]]] = {n: {name: [] for name in HANDLERS} for n in connections}
    with tempfile.TemporaryDirectory() as folder:
        processes = {
            name: subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.endpoint",
                    "--serve",
                    name,
                    "--folder",
                    f"{folder}/{name}",
                ],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"FALAJ_RUN_DIR": folder},
            )
            for name in HANDLERS
        }
        try:
            questions = {}
            for name, process in processes.items():
                assert process.stdout is not None
                port, token = process.stdout.readline().split()
                questions[name] = Question(int(port), "/predict/m", BODY, token)
            time.sleep(1.0)
            for turn in range(-1, rounds):
                for number in connections:
                    for name, question in questions.items():
                        measured = saturate(question, number, seconds if turn >= 0 else 1.0)
                        if turn >= 0:
                            found[number][name].append(measured)
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()
    return found


def ratio(mine: list[Measured], theirs: list[Measured], what: str) -> float:
    pairs = zip(mine, theirs, strict=True)
    return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each handler in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", default="1,8,32,128")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=HANDLERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve:
        serve(told.serve, told.folder)
        return
    numbers = [int(one) for one in told.connections.split(",")]
    found = measure(told.seconds, told.rounds, numbers)
    rows = [
        {
            "connections": number,
            "endpoint/bare": ratio(by["endpoint"], by["bare"], "rate"),
            "endpoint/constant": ratio(by["endpoint"], by["constant"], "rate"),
            "silent/bare": ratio(by["silent"], by["bare"], "rate"),
            "p99 endpoint/silent": ratio(by["endpoint"], by["silent"], "p99"),
            "p99 endpoint/bare": ratio(by["endpoint"], by["bare"], "p99"),
        }
        for number, by in found.items()
    ]
    if told.json:
        rates = {
            n: {name: [vars(one) for one in each] for name, each in by.items()} for n, by in found.items()
        }
        print(json.dumps({"ratios": rows, "measured": rates}))
        return
    print("  ".join(f"{name:>20}" for name in rows[0]))
    for row in rows:
        print(
            "  ".join(
                f"{value:>20.2f}" if isinstance(value, float) else f"{value:>20}" for value in row.values()
            )
        )
    print("\nRates of this run on this machine (requests a second; they say nothing about another):")
    for number, by in found.items():
        told_rates = ", ".join(
            f"{name} {statistics.median(m.rate for m in each):,.0f}" for name, each in by.items()
        )
        print(f"  {number:>4} connections: {told_rates}")


if __name__ == "__main__":
    main()
