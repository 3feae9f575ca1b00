"""Do predictions stay fast while a model is trained? p99 at a fixed rate, idle and during a training.

    python -m benchmarks.interference [--rate 300] [--seconds 8] [--rounds 4] [--json]

A real appliance as it is installed answers 300 one-row requests a second (an open loop: a time counts from
when a request was due), in turns while the machine idles and while a training job uses every core that it
may. The same with the training at normal priority shows what SCHED_IDLE is for. Ratios of p99 count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from appliance.cli.client import Client
from benchmarks.load import Measured, Question, pace
from tests.system.appliance import Appliance
from tests.system.processes import of_job, until

COLUMNS = 30


def table(path: Path, rows: int) -> None:
    """Numbers, and a yes or no that depends on some of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, COLUMNS))
    y = x[:, :5].sum(axis=1) + rng.normal(size=rows) > 0
    with path.open("w") as file:
        file.write(",".join([*(f"column_{i}" for i in range(COLUMNS)), "y"]) + "\n")
        for row, answer in zip(x, y, strict=True):
            file.write(",".join(f"{value:.4f}" for value in row) + f",{'yes' if answer else 'no'}\n")


@contextlib.contextmanager
def training(appliance: Appliance, *, polite: bool) -> Iterator[None]:
    """A training that lasts for the block, at the priority that Falaj gives it or at the normal one."""
    client = Client(appliance.home)
    job = client.call("train", model="busy", dataset="large", target="y", budget=600)["job"]
    try:
        child = until(lambda: client.call("job.show", job=job)["progress"] > 0.05 and of_job(appliance, job))[
            0
        ]
        if not polite:
            for thread in child.threads():
                with contextlib.suppress(OSError):
                    os.sched_setscheduler(thread.id, os.SCHED_OTHER, os.sched_param(0))
        busy = psutil.Process(child.pid)
        busy.cpu_percent()
        yield
        assert client.call("job.show", job=job)["state"] == "running", "the training ended too early"
    finally:
        client.call("job.cancel", job=job)
        until(lambda: client.call("job.show", job=job)["state"] == "cancelled", 60)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    found: dict[str, list[Measured]] = {"idle": [], "training": [], "training at normal priority": []}
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        table(small, 2000)
        table(large, 120_000)
        appliance = Appliance(Path(folder) / "home", {"FALAJ_INFERENCE_WORKERS": "1"}).start()
        try:
            appliance.json("dataset", "add", "small", str(small))
            appliance.json("dataset", "add", "large", str(large))
            appliance.json("train", "model", "--dataset", "small", "--target", "y", "--algorithm", "lightgbm")
            appliance.json("deploy", "model")
            row = {f"column_{i}": round(0.1 * i, 3) for i in range(COLUMNS)}
            body = json.dumps({"rows": [row]})
            question = Question(appliance.port, "/predict/model", body, appliance.token("model"))
            pace(question, told.rate, 2.0)
            for _ in range(told.rounds):
                time.sleep(1.0)
                found["idle"].append(pace(question, told.rate, told.seconds))
                with training(appliance, polite=True):
                    found["training"].append(pace(question, told.rate, told.seconds))
                with training(appliance, polite=False):
                    measured = pace(question, told.rate, told.seconds)
                    found["training at normal priority"].append(measured)
        finally:
            appliance.stop()
    medians = {name: statistics.median(one.p99 for one in each) for name, each in found.items()}
    ratios = {name: p99 / medians["idle"] for name, p99 in medians.items()}
    if told.json:
        print(json.dumps({"p99_ratio": ratios, "p99_ms": {n: [m.p99 for m in e] for n, e in found.items()}}))
        return
    print(f"{'':28} {'p99 against idle':>16}   p99 of each round, ms (of this machine)")
    for name, ratio in ratios.items():
        each = ", ".join(f"{one.p99:.2f}" for one in found[name])
        print(f"{name:28} {ratio:>16.2f}   {each}")


if __name__ == "__main__":
    main()
