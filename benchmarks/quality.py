"""How good the demo's two models are over five seeds, through the product's own command line.

    python -m benchmarks.quality

A seed draws the hold-out, the validation folds and the model's own randomness, so the spread over seeds
is that of the whole procedure. The seeds are 0 to 4 and were never chosen.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from appliance.cli.demo_examples import breast_cancer, digits
from tests.system.appliance import Appliance

SEEDS = range(5)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        appliance = Appliance(Path(folder) / "home").start()
        try:
            print(f"{'model':<15} {'metric':<9} {'by seed':<40} {'lowest':>7} {'median':>7}")
            for example in (breast_cancer(), digits()):
                path = Path(folder) / f"{example.name}.csv"
                path.write_bytes(example.csv())
                appliance.json("dataset", "add", example.name, str(path))
                values = []
                for seed in SEEDS:
                    made = appliance.json(
                        *("train", f"{example.name}-{seed}", "--dataset", example.name, "--seed", str(seed)),
                        *("--target", example.target, "--algorithm", example.algorithm),
                    )
                    values.append(made["metrics"][made["metric"]]["value"])
                told = " ".join(f"{value:.4f}" for value in values)
                lowest, median = min(values), statistics.median(values)
                print(f"{example.name:<15} {made['metric']:<9} {told:<40} {lowest:7.4f} {median:7.4f}")
        finally:
            appliance.stop()


if __name__ == "__main__":
    main()
