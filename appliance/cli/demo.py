"""`falaj demo`: a model's whole life on two real data sets, through public doors only.

Everything here is what any user can do: import a CSV, train, deploy, make a token, ask over HTTP; then the
customers change, the appliance notices, and a new version takes over under load and is taken back. No other
module knows of it, thresholds are the defaults and the seed is 0.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from appliance.cli.demo_caller import Asked, Caller
from appliance.cli.demo_examples import Example, breast_cancer, digits, upper_tail
from appliance.cli.edge import Edge, plural, table
from appliance.errors import DeadlineExceeded

PREDICTIONS = 2000
CHANGED = "mean radius"  # only large values of it are asked about when the customers change
_PATIENCE = 120.0
_LOOK = 0.5

Say = Callable[[str], None]


def run(edge: Edge) -> int:
    """Do it all; the number of requests that failed or were dropped, or 1 when a gate refused."""
    began = time.monotonic()
    say: Say = (lambda text: None) if edge.json else click.echo
    models: list[dict[str, Any]] = []
    asked = Asked()
    examples = (breast_cancer(), digits())
    for example in examples:
        say(f"\n{example.title}: {len(example.rows)} rows, {len(example.rows[0])} columns")
        models.append(_first_use(edge, example, asked, say))
    alert, dropped = change(edge, examples[0], CHANGED, asked, say)
    result = {
        "models": models,
        "predictions": PREDICTIONS,
        "failed_requests": asked.failed,
        "drift_alert": {"model": alert["model"], "features": alert["features"]},
        "deploy": {"dropped": dropped},
        "seconds": round(time.monotonic() - began, 2),
    }
    columns = {
        "name": "model",
        "version": "version",
        "runtime": "runtime",
        "metric": "metric",
        "value": "value",
    }
    told = f"{asked.sent:,} predictions, {asked.failed} failed, {result['seconds']:.0f} seconds in all"
    edge.done(result, f"\n{table(models, columns, '')}\n\n{told}\nThe alert is still there: falaj alert ls")
    return asked.failed + dropped


def change(edge: Edge, example: Example, column: str, asked: Asked, say: Say) -> tuple[dict[str, Any], int]:
    """Ask only about the upper tail of a column until an alert names it; then retrain, deploy and roll back.

    All of it with requests in flight. The alert, and how many requests the two changes of version dropped.
    """
    before = {alert["id"]: alert["updated_at"] for alert in edge.call("alert.ls")}
    say(f"\nFrom now on only rows with a large '{column}' are asked about")
    with _caller(edge, example.name, asked) as caller, caller.stream(upper_tail(example.rows, column)):
        alert = _alert(edge, example.name, column, before)
        others = len(alert["features"]) - 1
        more = f" and {plural(others, 'other column')}" if others else ""
        say(f"  noticed    an alert names '{column}'{more}")
        trained = _train(edge, example, example.name)
        say(f"  retrained  version {trained['version']}, gate {trained['gate']['verdict']}")
        dropped = 0
        for verb, name in (("deploy", f"{example.name}:{trained['version']}"), ("rollback", example.name)):
            made = edge.call(verb, model=name)
            dropped += made["dropped"]
            told = "deployed" if verb == "deploy" else "went back"
            say(f"  {told:<10} version {made['version']}, {plural(made['dropped'], 'request')} dropped")
    return alert, dropped


def _first_use(edge: Edge, example: Example, asked: Asked, say: Say) -> dict[str, Any]:
    """Import, train, deploy and ask."""
    with tempfile.TemporaryFile() as file:
        file.write(example.csv())
        file.seek(0)
        name = f"{example.name}.csv"
        added = edge.call("dataset.add", name=example.name, filename=name, options={}, file=file)
    dataset = edge.client.wait(added["job"], lambda share, phase: None)
    say(f"  imported   {dataset['dataset']}:{dataset['version']}")
    trained = _train(edge, example, f"{example.name}:{dataset['version']}")
    value = trained["metrics"][trained["metric"]]["value"]
    said = f"{trained['metric']} {value:.4f}"
    say(f"  trained    {trained['algorithm']} in {trained['seconds']:.1f} s, {said}")
    say(f"  gate       {trained['gate']['verdict']}")
    deployed = edge.call("deploy", model=f"{example.name}:{trained['version']}", runtime=example.runtime)
    say(f"  deployed   version {deployed['version']} on {deployed['runtime']}")
    with _caller(edge, example.name, asked) as caller:
        done = caller.ask(example, PREDICTIONS // 2)
    say(f"  answered   {done.sent} predictions, {done.failed} failed, {done.share_right:.1%} right")
    return {
        "name": example.name,
        "version": deployed["version"],
        "runtime": deployed["runtime"],
        "metric": trained["metric"],
        "value": value,
    }


def _train(edge: Edge, example: Example, dataset: str) -> dict[str, Any]:
    started = edge.call(
        "train", model=example.name, dataset=dataset, target=example.target, algorithm=example.algorithm
    )
    return edge.client.wait(started["job"], lambda share, phase: None)


def _alert(edge: Edge, model: str, column: str, before: dict[int, str]) -> dict[str, Any]:
    """Wait for an alert on the model that names the column, and wasn't there or has been found again."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for alert in edge.call("alert.ls"):
            fresh = before.get(alert["id"]) != alert["updated_at"]
            if fresh and alert["model"] == model and column in alert["features"]:
                found: dict[str, Any] = alert
                return found
        time.sleep(_LOOK)
    raise DeadlineExceeded(
        f"No alert named '{column}' within {_PATIENCE:g} seconds.", f"See: falaj drift {model}"
    )


@contextmanager
def _caller(edge: Edge, model: str, asked: Asked) -> Iterator[Caller]:
    """Somebody with a token for one model; in the end the token is revoked and the requests are summed up."""
    token = edge.call("token.create", models=[model], expires="1h", name="demo")
    caller = Caller(edge, model, token["token"])
    try:
        yield caller
    finally:
        edge.call("token.revoke", id=token["id"])
        asked.sent += caller.asked.sent
        asked.failed += caller.asked.failed
