"""How much of the server's own speed the endpoint keeps: python benchmarks/endpoint.py [--seconds 3]

Three handlers on the same granian set-up, one worker, one-row JSON of 30 columns, 32 connections: a constant
reply, a bare handler (parse, encode, run, reply: no token, deadline, limits, counts), and our endpoint, its
token check on. They run interleaved, several rounds, on one machine with the client: ratios count, not rates.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import shutil
import socket
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

from appliance.config import InferenceSettings
from appliance.daemon.listener import Listener
from appliance.daemon.rsgi import serve_rsgi
from appliance.data.signature import Column, Signature
from appliance.data.types import Kind
from appliance.errors import Unauthenticated
from appliance.inference.endpoint import Endpoint
from appliance.inference.plane import Artefact, Plane, prepare

COLUMNS = 30
TOKEN = "flj_benchmark_0123456789abcdef0123456789abcdef"
JSON = [("content-type", "application/json")]
ROW = {f"column_{i}": round(0.37 * i + 0.123456, 6) for i in range(COLUMNS)}
BODY = json.dumps({"rows": [ROW]})


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
    rows = rng.normal(size=(5, COLUMNS)).astype(np.float32)
    e = np.exp(rows @ weights)
    expected = (e / e.sum(1, keepdims=True)).astype(np.float32)
    return Artefact("m", 1, data.SerializeToString(), signature, "onnxruntime", rows, expected, 1e-5)


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


def endpoint() -> Endpoint:
    plane = Plane()
    plane.switch("m", prepare(artefact()))
    tokens = {hashlib.sha256(TOKEN.encode()).digest(): ("t1", frozenset({"m"}), time.time() + 3600)}

    def authorise(token: str | None, model: str | None) -> str:
        found = tokens.get(hashlib.sha256((token or "").encode()).digest())
        if found is None or model not in found[1] or found[2] < time.time():
            raise Unauthenticated("no", "no")
        return found[0]

    return Endpoint(plane, authorise, InferenceSettings(), lambda: True)


HANDLERS = {"constant": Constant, "bare": Bare, "endpoint": endpoint}


def serve(name: str, profile: str) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    if not profile:
        serve_rsgi(HANDLERS[name](), [Listener(sock)], 1024)
        return
    import cProfile

    profiler = cProfile.Profile()
    app = HANDLERS[name]()
    profiler.enable()
    serve_rsgi(app, [Listener(sock)], 1024)
    profiler.disable()
    profiler.dump_stats(profile)


def wrk(port: int, seconds: float, script: Path) -> float:
    done = subprocess.run(
        [
            "wrk",
            "-t1",
            "-c32",
            f"-d{max(1, round(seconds))}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}/predict/m",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in done.stdout:
        raise SystemExit(done.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


async def own_client(port: int, seconds: float) -> float:
    """Requests a second of 32 connections, one request at a time each; slower than wrk, and says so."""
    head = f"POST /predict/m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Length: {len(BODY)}\r\n\r\n"
    request, until, count = (head + BODY).encode(), time.perf_counter() + seconds, 0

    async def connection() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            writer.write(request)
            reply = await reader.readuntil(b"\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 200"), reply
            found = re.search(rb"content-length: (\d+)", reply)
            assert found is not None
            await reader.readexactly(int(found[1]))
            count += 1
        writer.close()

    await asyncio.gather(*(connection() for _ in range(32)))
    return count / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each handler in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=list(HANDLERS), help=argparse.SUPPRESS)
    parser.add_argument("--profile", default="", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve:
        serve(told.serve, told.profile)
        return
    rates: dict[str, list[float]] = {name: [] for name in HANDLERS}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            f"wrk.method='POST'\nwrk.body='{BODY}'\nwrk.headers['Authorization']='Bearer {TOKEN}'\n"
            "wrk.headers['Content-Type']='application/json'\n"
        )
        processes = {
            name: subprocess.Popen(
                [sys.executable, __file__, "--serve", name], stdout=subprocess.PIPE, text=True
            )
            for name in HANDLERS
        }
        try:
            ports = {name: int(process.stdout.readline()) for name, process in processes.items()}  # type: ignore[union-attr]
            time.sleep(1.5)  # models load
            for turn in range(-1, told.rounds):
                for name, port in ports.items():
                    seconds = 1.0 if turn < 0 else told.seconds
                    rate = (
                        wrk(port, seconds, script)
                        if shutil.which("wrk")
                        else asyncio.run(own_client(port, seconds))
                    )
                    if turn >= 0:
                        rates[name].append(rate)
        finally:
            for process in processes.values():
                process.terminate()
                process.wait()
    median = {name: statistics.median(each) for name, each in rates.items()}
    ratios = {
        f"endpoint/{other}": statistics.median(
            mine / theirs for mine, theirs in zip(rates["endpoint"], rates[other], strict=True)
        )
        for other in ("bare", "constant")
    }
    if told.json:
        print(json.dumps({"requests_per_second": median, "ratios": ratios}))
        return
    for name, rate in median.items():
        print(f"{name:10} {rate:9.0f} requests/s")
    for name, ratio in ratios.items():
        print(f"{name:18} {ratio:6.2f}")


if __name__ == "__main__":
    main()
