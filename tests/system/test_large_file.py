"""A CSV of 1 GB goes in with less than 1 GB of memory in any process, upload and import together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.system.appliance import Appliance

GIGABYTE = 1_000_000_000


def write_large(path: Path) -> int:
    """A table of 1 GB: numbers, words, quotes, dates and gaps; the number of its rows."""
    block = "".join(
        f"{i},{(i * 7919) % 100_003 / 8},{['north', 'south', 'east', 'west'][i % 4]},"
        f'"street {i % 977}, door {i % 13}",{1 + i % 12}/{1 + i % 28}/202{i % 6},'
        f"{'' if i % 11 == 0 else i % 5}\n"
        for i in range(100_000)
    ).encode()
    times = -(-GIGABYTE // len(block))
    with open(path, "wb") as file:
        file.write(b"number,amount,region,address,day,grade\n")
        for _ in range(times):
            file.write(block)
    return 100_000 * times


class Watch:
    """The largest resident memory of any process below a parent, sampled 20 times a second."""

    def __init__(self, parent: int) -> None:
        self.peaks: dict[str, int] = {}
        self._parent = psutil.Process(parent)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            for process in self._parent.children(recursive=True):
                try:
                    name = " ".join(process.cmdline()[2:4])
                    self.peaks[name] = max(self.peaks.get(name, 0), process.memory_info().rss)
                except psutil.Error:
                    continue


def test_one_gigabyte_in_under_one_gigabyte(new_appliance: Callable[..., Appliance], tmp_path: Path) -> None:
    appliance = new_appliance().start()
    rows = write_large(tmp_path / "large.csv")
    assert (tmp_path / "large.csv").stat().st_size >= GIGABYTE
    assert appliance.process is not None
    with Watch(appliance.process.pid) as watch:
        added = appliance.json("dataset", "add", "large", str(tmp_path / "large.csv"))
    assert (added["rows"], added["columns"]) == (rows, 6)
    assert any("appliance.jobs.bounds" in name for name in watch.peaks), watch.peaks
    print("peak memory:", {name: f"{peak >> 20} MiB" for name, peak in watch.peaks.items()})
    assert max(watch.peaks.values()) < GIGABYTE, watch.peaks
    kinds = {
        column["name"]: column["kind"] for column in appliance.json("dataset", "show", "large")["schema"]
    }
    assert kinds == {
        "number": "integer",
        "amount": "number",
        "region": "categorical",
        "address": "text",
        "day": "datetime",
        "grade": "integer",
    }
