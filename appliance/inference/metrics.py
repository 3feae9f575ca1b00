"""Request counts and times of one worker process, as Prometheus text (exposition format 0.0.4).

Written for the hot path: one dict lookup, a few integer additions. Only names of deployed models become
labels, so that a client inventing names cannot grow the table. Event-loop thread only.
"""

from __future__ import annotations

from bisect import bisect_left

EDGES = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)


class Meter:
    """What happened to one model's requests; times in seconds."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(EDGES) + 1)
        self.seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        statuses = self.statuses
        statuses[status] = statuses.get(status, 0) + 1
        self.buckets[bisect_left(EDGES, seconds)] += 1
        self.seconds += seconds


def text(meters: dict[str, Meter], in_flight: int) -> str:
    """All meters as Prometheus text; the model "" stands for requests that named no deployed model."""
    lines = [
        "# HELP falaj_requests_total Prediction requests answered, by model and HTTP status.",
        "# TYPE falaj_requests_total counter",
    ]
    for model, meter in sorted(meters.items()):
        lines += [
            f'falaj_requests_total{{model="{_escape(model)}",status="{status}"}} {count}'
            for status, count in sorted(meter.statuses.items())
        ]
    lines += [
        "# HELP falaj_request_seconds Time from the first byte of a request seen to its answer.",
        "# TYPE falaj_request_seconds histogram",
    ]
    for model, meter in sorted(meters.items()):
        label, total = _escape(model), 0
        for edge, count in zip((*EDGES, "+Inf"), meter.buckets, strict=True):
            total += count
            lines.append(f'falaj_request_seconds_bucket{{model="{label}",le="{edge}"}} {total}')
        lines.append(f'falaj_request_seconds_sum{{model="{label}"}} {meter.seconds:.6f}')
        lines.append(f'falaj_request_seconds_count{{model="{label}"}} {total}')
    lines += [
        "# HELP falaj_requests_in_flight Prediction requests being read or answered now.",
        "# TYPE falaj_requests_in_flight gauge",
        f"falaj_requests_in_flight {in_flight}",
    ]
    return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
