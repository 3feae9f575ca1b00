"""Metrics as Prometheus text (exposition format 0.0.4).

The counts are those of the whole appliance since it was installed, whichever worker is asked, so that they
never go back. Only names of deployed models and of their features become labels: a client that invents names
can't grow the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.monitoring.latency import EDGES
from appliance.monitoring.traffic import Meter

Sample = tuple[Mapping[str, str], float]
CONTENT_TYPE = "text/plain; version=0.0.4"


def requests(totals: Mapping[str, Meter], in_flight: int | None = None) -> str:
    """Requests, rows and latency by model; the model "" stands for requests that named no deployed one."""
    statuses = [
        ({"model": model, "status": str(status)}, float(count))
        for model, meter in sorted(totals.items())
        for status, count in sorted(meter.statuses.items())
    ]
    rows = [({"model": model}, float(meter.rows)) for model, meter in sorted(totals.items()) if model]
    text = counter(
        "falaj_requests_total", "Prediction requests answered, by model and HTTP status.", statuses
    )
    text += counter("falaj_rows_total", "Rows answered, by model.", rows)
    text += _histogram(totals)
    if in_flight is not None:
        about = "Prediction requests being read or answered by this worker now."
        text += gauge("falaj_requests_in_flight", about, [({}, in_flight)])
    return text


def counter(name: str, about: str, samples: Iterable[Sample]) -> str:
    return _family(name, about, "counter", samples)


def gauge(name: str, about: str, samples: Iterable[Sample]) -> str:
    return _family(name, about, "gauge", samples)


def _family(name: str, about: str, kind: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _histogram(totals: Mapping[str, Meter]) -> str:
    name = "falaj_request_seconds"
    lines = [
        f"# HELP {name} Time from the first byte of a request seen to its answer.",
        f"# TYPE {name} histogram",
    ]
    for model, meter in sorted(totals.items()):
        so_far = 0
        for edge, count in zip((*EDGES, "+Inf"), meter.latency, strict=True):
            so_far += count
            lines.append(f"{name}_bucket{_labels({'model': model, 'le': str(edge)})} {so_far}")
        lines.append(f"{name}_sum{_labels({'model': model})} {meter.seconds:.6f}")
        lines.append(f"{name}_count{_labels({'model': model})} {so_far}")
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
