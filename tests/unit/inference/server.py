"""A real endpoint in a process of its own, for the tests: python server.py CONFIG_JSON.

Prints its port, then obeys lines on stdin (one JSON reply a line): `switch MODEL VERSION`, `unload MODEL`,
`drain`, `state`, `loop`. Versions of a model answer with different numbers, so a wrong version can be seen.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import sys
import threading
from pathlib import Path

import numpy as np

from appliance.config import InferenceSettings
from appliance.daemon.listener import Listener, Tls
from appliance.daemon.rsgi import serve_rsgi
from appliance.daemon.sockets import listen_at
from appliance.data.signature import Column, Signature
from appliance.data.types import Kind
from appliance.db import Store
from appliance.db.migrations import telemetry
from appliance.errors import Forbidden, Unauthenticated
from appliance.inference.endpoint import Endpoint
from appliance.inference.plane import Artefact, Plane, prepare
from appliance.monitoring.recorder import Recorder

spec = importlib.util.spec_from_file_location(
    "falaj_test_graphs", Path(__file__).parent.parent / "runtimes" / "graphs.py"
)
assert spec is not None
assert spec.loader is not None
graphs = importlib.util.module_from_spec(spec)
sys.modules["falaj_test_graphs"] = graphs
spec.loader.exec_module(graphs)

SLOW_TRIPS = 800_000  # about 0.4 s
TOKENS = {"all": None, "iris-only": {"iris"}}


def artefact(model: str, version: int, runtime: str = "onnxruntime") -> Artefact:
    """iris: 4 numbers -> 3 classes; shop: mixed columns -> 2; price and slow: a number."""
    if model == "slow":
        signature = Signature((Column("x", Kind.NUMBER),), "y", "regression")
        rows = np.array([[2]], np.float32)
        graph = graphs.slow(version, SLOW_TRIPS)
        return Artefact(model, version, graph, signature, runtime, rows, rows * version, 1e-5)
    if model == "shop":
        columns = (
            Column("amount", Kind.NUMBER),
            Column("items", Kind.INTEGER),
            Column("member", Kind.BOOLEAN),
            Column("branch", Kind.CATEGORICAL, ("Deira", "Satwa")),
        )
        signature = Signature(columns, "bought", "binary", ("no", "yes"))
    elif model == "price":
        signature = Signature(
            (Column("size", Kind.NUMBER), Column("rooms", Kind.INTEGER)), "price", "regression"
        )
    else:
        columns = tuple(Column(name, Kind.NUMBER) for name in ("sl", "sw", "pl", "pw"))
        signature = Signature(columns, "species", "multiclass", ("setosa", "versicolor", "virginica"))
    reference = graphs.Reference(
        width=signature.width,
        classes=max(1, len(signature.labels)),
        hidden=8,
        seed=version,
    )
    if model == "price":
        return price(version, signature, runtime)
    rows = reference.rows(20, missing=0.1)
    return Artefact(model, version, reference.graph(), signature, runtime, rows, reference.answer(rows), 1e-4)


def price(version: int, signature: Signature, runtime: str) -> Artefact:
    """version * 1000 * size: NaN for a missing size, infinite for a huge one."""
    from onnx import helper

    weights = np.array([[1000.0 * version], [0.0]], np.float32)
    graph = graphs.model_bytes([helper.make_node("MatMul", ["input", "w"], ["output"])], 2, 1, {"w": weights})
    rows = np.array([[1, 2], [3, 4]], np.float32)
    return Artefact("price", version, graph, signature, runtime, rows, rows @ weights, 1e-5)


def authorise(token: str | None, model: str | None) -> str:
    if token not in TOKENS:
        raise Unauthenticated("This address needs a valid token.", "Make one with: falaj token create")
    allowed = TOKENS[token]
    if model is not None and allowed is not None and model not in allowed:
        raise Forbidden(f"This token may not use '{model}'.", f"falaj token create --models {model}")
    if model == "broken":
        raise ZeroDivisionError("a fault of ours: secret detail")
    return str(token)


def main() -> None:
    config = json.loads(sys.argv[1])
    tls = Tls(*map(Path, config["tls"])) if config.get("tls") else None
    plane = Plane()
    for model in config.get("models", ["iris", "shop", "price"]):
        plane.switch(model, prepare(artefact(model, 1, config.get("runtime", "onnxruntime"))))
    settings = InferenceSettings(**config.get("settings", {}))
    started: list[asyncio.AbstractEventLoop] = []
    recorder = None
    if config.get("telemetry"):
        store = Store(Path(config["telemetry"]), b"k" * 32, create=True)
        store.migrate(telemetry)
        recorder = Recorder(store, log_predictions=True)
    endpoint = Endpoint(
        plane,
        authorise,
        settings,
        lambda: config.get("ready", True),
        on_start=started.append,
        recorder=recorder,
    )
    sock = socket.create_server(("127.0.0.1", 0))
    listeners = [Listener(sock, tls)]
    if config.get("both"):  # the same with plain HTTP beside it; its port is printed second
        listeners.append(Listener(socket.create_server(("127.0.0.1", 0))))

    if config.get("path"):
        listeners.append(Listener(listen_at(Path(config["path"]))))

    def obey() -> None:
        for line in sys.stdin:
            reply: dict[str, object] = {}
            match line.split():
                case ["switch", model, version]:
                    old = plane.switch(model, prepare(artefact(model, int(version))))
                    reply["drained"] = old is None or plane.drain(old, 20)
                case ["unload", model]:
                    plane.switch(model, None)
                case ["drain"]:
                    endpoint.draining = True
                case ["loop"]:
                    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), started[0]).result(5)
                    reply["same"] = started[0] is endpoint.loop
                case ["state"]:
                    reply |= {"in_flight": endpoint.in_flight, "served": endpoint.served}
                    reply |= {"failed": endpoint.failed, "reading": len(endpoint._bodies._reading)}
                    reply |= {"buffered": endpoint._bodies._held}
            print(json.dumps(reply), flush=True)

    threading.Thread(target=obey, daemon=True).start()
    ports = [one.sock.getsockname()[1] for one in listeners if one.sock.family == socket.AF_INET]
    print(*ports, flush=True)
    drained = serve_rsgi(
        endpoint,
        listeners,
        1024,
        drain_seconds=config.get("drain_seconds", 10.0),
        settled=endpoint.settled,
    )
    print(json.dumps({"drained": drained}), flush=True)


if __name__ == "__main__":
    main()
