"""`falaj demo`: the main job on two real data sets that scikit-learn carries, through public doors only.

Everything here is what any user can do: import a CSV, train, deploy, make a token, ask over HTTP. No
other module knows of it, thresholds are the defaults and the seed is 0.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit

import click
from sklearn import datasets

from appliance.cli.edge import Edge, table
from appliance.security.trust import trusting

PREDICTIONS = 2000
_CONNECTIONS = 4

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Example:
    """One data set and how it is used. `answers` are the true outcomes of `rows`."""

    name: str
    title: str
    target: str
    algorithm: str
    runtime: str | None
    rows: Rows
    answers: list[Any]

    def csv(self) -> bytes:
        """The table as a person would have it: a CSV with the target as its last column."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*self.rows[0], self.target])
        writer.writerows([*row.values(), answer] for row, answer in zip(self.rows, self.answers, strict=True))
        return text.getvalue().encode()


def run(edge: Edge) -> int:
    """Do it all; the number of requests that failed, or 1 when a gate refused."""
    began = time.monotonic()
    say: Callable[[str], None] = (lambda text: None) if edge.json else click.echo
    models: list[dict[str, Any]] = []
    sent = failed = 0
    for example in (breast_cancer(), digits()):
        say(f"\n{example.title}: {len(example.rows)} rows, {len(example.rows[0])} columns")
        trained = _teach(edge, example, say)
        deployed = edge.call("deploy", model=f"{example.name}:{trained['version']}", runtime=example.runtime)
        say(f"  deployed   version {deployed['version']} on {deployed['runtime']}")
        token = edge.call("token.create", models=[example.name], expires="1h", name="demo")
        asked = _ask(edge, example, token["token"], PREDICTIONS // 2)
        edge.call("token.revoke", id=token["id"])
        sent, failed = sent + asked.sent, failed + asked.failed
        say(f"  answered   {asked.sent} predictions, {asked.failed} failed, {asked.right:.1%} right")
        models.append(
            {
                "name": example.name,
                "version": deployed["version"],
                "runtime": deployed["runtime"],
                "metric": trained["metric"],
                "value": trained["metrics"][trained["metric"]]["value"],
            }
        )
    result = {
        "models": models,
        "predictions": sent,
        "failed_requests": failed,
        "seconds": round(time.monotonic() - began, 2),
    }
    columns = {
        "name": "model",
        "version": "version",
        "runtime": "runtime",
        "metric": "metric",
        "value": "value",
    }
    told = f"{sent} predictions, {failed} failed, {result['seconds']:.0f} seconds in all"
    edge.done(result, f"\n{table(models, columns, '')}\n\n{told}")
    return failed


def breast_cancer() -> Example:
    """Is a tumour benign? 569 x 30 measurements (UCI Breast Cancer Wisconsin, 1993)."""
    bunch = datasets.load_breast_cancer()
    rows = [dict(zip(map(str, bunch.feature_names), map(float, row), strict=True)) for row in bunch.data]
    answers = [str(bunch.target_names[code]) for code in bunch.target]
    return Example("breast-cancer", "Breast cancer", "diagnosis", "lightgbm", None, rows, answers)


def digits() -> Example:
    """Which digit was written? 1797 x 64 grey values (UCI Optical Recognition, 1998)."""
    bunch = datasets.load_digits()
    rows = [dict(zip(map(str, bunch.feature_names), map(float, row), strict=True)) for row in bunch.data]
    answers = [int(code) for code in bunch.target]
    return Example("digits", "Handwritten digits", "digit", "mlp", "openvino", rows, answers)


def _teach(edge: Edge, example: Example, say: Callable[[str], None]) -> dict[str, Any]:
    """Import and train, as `falaj dataset add` and `falaj train` do."""
    with tempfile.TemporaryFile() as file:
        file.write(example.csv())
        file.seek(0)
        added = edge.call(
            "dataset.add", name=example.name, filename=f"{example.name}.csv", options={}, file=file
        )
    dataset = edge.client.wait(added["job"], lambda share, phase: None)
    say(f"  imported   {dataset['dataset']}:{dataset['version']}")
    started = edge.call(
        "train",
        model=example.name,
        dataset=f"{example.name}:{dataset['version']}",
        target=example.target,
        algorithm=example.algorithm,
    )
    trained = edge.client.wait(started["job"], lambda share, phase: None)
    metric = trained["metrics"][trained["metric"]]
    said = f"{trained['metric']} {metric['value']:.4f}"
    say(f"  trained    {trained['algorithm']} in {trained['seconds']:.1f} s, {said}")
    say(f"  gate       {trained['gate']['verdict']}")
    return trained


@dataclass(frozen=True)
class Asked:
    """What became of some requests; `right` is the share of right answers among the answered."""

    sent: int
    failed: int
    right: float


def _ask(edge: Edge, example: Example, token: str, count: int) -> Asked:
    """Send one row a request over a few kept-alive connections."""
    connect = _door(edge)
    pairs = list(islice(cycle(zip(example.rows, example.answers, strict=True)), count))

    def ask_some(part: list[tuple[dict[str, Any], Any]]) -> tuple[int, int]:
        connection = connect()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        failed = right = 0
        for row, answer in part:
            try:
                connection.request("POST", f"/predict/{example.name}", json.dumps({"rows": [row]}), headers)
                reply = connection.getresponse()
                body = json.loads(reply.read())
                failed += reply.status != 200
                right += reply.status == 200 and body["predictions"][0]["label"] == str(answer)
            except (OSError, http.client.HTTPException, ValueError):
                failed += 1
                connection.close()
        connection.close()
        return failed, right

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        outcomes = list(threads.map(ask_some, [pairs[i::_CONNECTIONS] for i in range(_CONNECTIONS)]))
    failed, right = sum(pair[0] for pair in outcomes), sum(pair[1] for pair in outcomes)
    return Asked(count, failed, right / max(1, count - failed))


def _door(edge: Edge) -> Callable[[], http.client.HTTPConnection]:
    """How to connect to the endpoint: by TLS only where it speaks nothing else on this machine."""
    address = urlsplit(edge.call("status")["roles"]["inference"]["address"])
    if address.scheme == "http":
        return lambda: http.client.HTTPConnection(address.netloc, timeout=30)
    context = trusting(edge.call("certificate.show")["trust"])
    return lambda: http.client.HTTPSConnection(address.netloc, timeout=30, context=context)
