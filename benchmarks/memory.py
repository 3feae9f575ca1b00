"""How much memory the whole appliance takes, and whether it grows.

    python -m benchmarks.memory [--requests 1000000] [--deploys 1000] [--json]

Private memory (PSS: shared pages are counted once, divided among who shares them) of every process: idle,
after each tenth of so many one-row requests, and after each tenth of so many deploys of two versions in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from appliance.cli.client import Client
from benchmarks.interference import COLUMNS, table
from benchmarks.load import Question, saturate
from tests.system.appliance import Appliance
from tests.system.processes import everything

_STEPS = 10


def pss(appliance: Appliance) -> dict[str, float]:
    """MiB by role, and in all."""
    found: dict[str, float] = {}
    for process in everything(appliance):
        words = process.cmdline()
        module = words.index("-m") if "-m" in words else -1
        role = words[module + 2] if module >= 0 and len(words) > module + 2 else "run"
        with open(f"/proc/{process.pid}/smaps_rollup") as file:
            kib = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        found[role] = found.get(role, 0.0) + kib / 1024
    return found | {"all": sum(found.values())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--deploys", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    taken: list[tuple[str, dict[str, float]]] = []

    def note(what: str) -> None:
        taken.append((what, pss(appliance)))
        if not told.json:
            each = "  ".join(f"{role} {mib:.0f}" for role, mib in taken[-1][1].items())
            print(f"{what:<24} {each}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.csv"
        table(path, 2000)
        appliance = Appliance(Path(folder) / "home", {"FALAJ_INFERENCE_WORKERS": "1"}).start()
        try:
            time.sleep(5)
            note("idle, no model")
            appliance.json("dataset", "add", "small", str(path))
            for _ in range(2):
                appliance.json("train", "m", "--dataset", "small", "--target", "y", "--algorithm", "linear")
            appliance.json("deploy", "m:1")
            row = {f"column_{i}": round(0.1 * i, 3) for i in range(COLUMNS)}
            question = Question(
                appliance.port, "/predict/m", json.dumps({"rows": [row]}), appliance.token("m")
            )
            saturate(question, 32, 5.0)
            time.sleep(5)
            note("idle, one model, warm")
            answered = 0
            for step in range(1, _STEPS + 1):
                while answered < told.requests * step / _STEPS:
                    measured = saturate(question, 32, 5.0)
                    answered += round(measured.rate * 5)
                note(f"{answered:,} requests")
            client = Client(appliance.home)
            for number in range(1, told.deploys + 1):
                assert client.call("deploy", model=f"m:{1 + number % 2}")["dropped"] == 0
                if number % max(1, told.deploys // _STEPS) == 0:
                    note(f"{number:,} deploys")
            time.sleep(10)
            note("idle again")
        finally:
            appliance.stop()
    if told.json:
        print(json.dumps([{"after": what, "pss_mib": mib} for what, mib in taken]))


if __name__ == "__main__":
    main()
