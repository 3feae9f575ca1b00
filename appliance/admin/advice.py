"""The one sentence of the start page, and of monitoring: is all well, and what to do next. Pure: facts in, a
sentence out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.admin.language import _, ngettext

Alerts = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Advice:
    """`kind` as a badge's; the next step is a link, or nothing."""

    kind: str
    sentence: str
    more: str = ""
    href: str = ""
    label: str = ""


def advise(
    status: dict[str, Any],
    models: list[dict[str, Any]],
    jobs: list[dict[str, Any]],
    tokens: int | None = None,
    can: Callable[[str], bool] = lambda verb: True,
    alerts: Alerts = (),
    troubles: Sequence[tuple[str, str]] = (),
    recovery: bool = True,
) -> Advice:
    """Trouble first, then the next step on the road from a table to answers.

    `tokens`: how many programs may ask, or None for somebody who can't make a token; `can`: what the reader
    may do, so that nobody is sent to a page that stays shut; `troubles`: what is wrong with the machine and
    what to do, of which the first is told here where nothing is worse; `recovery`: False for somebody who may
    make a recovery key while there is none.
    """
    if trouble := _trouble(status, can, troubles) or _new(alerts):
        return trouble
    if jobs and jobs[0]["state"] == "failed":
        href = f"/jobs/{jobs[0]['job']}"
        more = jobs[0]["error"]["error"] if jobs[0]["error"] else ""
        return Advice(
            "warn", _("The appliance runs, but the last job failed."), more, href, _("See what happened")
        )
    return _known(alerts) or _next_step(status["datasets"], models, tokens, can, recovery)


def watch_over(status: dict[str, Any], traffic: dict[str, Any], alerts: Alerts, live: int) -> Advice:
    """The sentence of monitoring. `traffic`: of the span that is looked at; `live`: models in use."""
    if trouble := _trouble(status) or _new(alerts):
        return trouble
    failed = sum(one["failed"] for one in traffic["models"].values())
    if failed:
        sentence = ngettext("One request failed.", "%(count)s requests failed.", failed) % {
            "count": f"{failed:,}"
        }
        return Advice("warn", sentence, _("What failed and why stands in the log of the appliance."))
    if known := _known(alerts):
        return known
    if not live:
        more = _("What your programs ask is watched from the moment a model is put to use.")
        return Advice("idle", _("No model is in use."), more, "/deployments", _("See what is in use"))
    if not traffic["models"]:
        return Advice("idle", _("Nobody has asked in this time."))
    return Advice("good", _("All is well. No request failed, and no alert is open."))


def _trouble(
    status: dict[str, Any],
    can: Callable[[str], bool] = lambda verb: False,
    troubles: Sequence[tuple[str, str]] = (),
) -> Advice | None:
    """Parts that don't run, trouble with the machine, models that don't answer."""
    missing = [name for name, role in status["roles"].items() if not role["ready"]]
    lost = status["roles"]["inference"]["lost"]
    if missing:
        more = _("These parts are starting, or have stopped: %s.") % ", ".join(missing)
        link = ("/checks", _("See what is wrong")) if can("doctor") else ("", "")
        return Advice("bad", _("Not every part of the appliance is running."), more, *link)
    if troubles:
        return Advice("bad", *troubles[0])
    if lost:
        name, why = next(iter(sorted(lost.items())))
        more = f"{name}: {why}"
        return Advice(
            "bad", _("A model that should answer does not."), more, "/deployments", _("See what is in use")
        )
    return None


def _new(alerts: Alerts) -> Advice | None:
    """Alerts that nobody has looked at yet."""
    new = [alert["model"] for alert in alerts if alert["state"] == "open"]
    if not new:
        return None
    link = ("/alerts", _("See the alerts"))
    if len(new) == 1:
        more = _("So its answers may be less good than they were.")
        return Advice("warn", _("What %s is asked has changed.") % new[0], more, *link)
    more = _("So their answers may be less good than they were: %s.") % ", ".join(new[:5])
    return Advice("warn", _("What %d models are asked has changed.") % len(new), more, *link)


def _known(alerts: Alerts) -> Advice | None:
    """Alerts that somebody knows of, and that still hold."""
    if not alerts:
        return None
    sentence = ngettext(
        "One alert still holds; somebody knows of it.",
        "%(count)d alerts still hold; somebody knows of them.",
        len(alerts),
    ) % {"count": len(alerts)}
    return Advice("idle", sentence, "", "/alerts", _("See the alerts"))


def _next_step(
    datasets: int,
    models: list[dict[str, Any]],
    tokens: int | None,
    can: Callable[[str], bool],
    recovery: bool,
) -> Advice:
    answering = sum(1 for model in models if model["live"])
    if answering:
        sentence = ngettext(
            "All is well. One model answers.", "All is well. %(count)d models answer.", answering
        ) % {"count": answering}
        if tokens == 0:
            more = _("Your programs can ask it once they have a token.")
            return Advice("good", sentence, more, "/tokens#make", _("Let a program ask"))
        if not recovery:
            more = _("If this server breaks, nobody can open its data: there is no recovery key yet.")
            return Advice("good", sentence, more, "/recovery", _("Make the recovery key"))
        return Advice("good", sentence)
    if not datasets and not models:
        sentence = _("All is well. Nothing is here yet.")
        if not can("dataset.add"):
            return Advice("good", sentence, _("Somebody who may bring data in has to do that first."))
        more = _("Bring in a table of yours, for example last year's customers with who left.")
        return Advice("good", sentence, more, "/datasets#add", _("Bring in a table"))
    if not models:
        sentence = _("All is well. No model has been trained yet.")
        if not can("train"):
            return Advice("good", sentence, _("Somebody who may train has to do that first."))
        more = _("Your data is here. Say what you want to know, and let a model learn it.")
        return Advice("good", sentence, more, "/train", _("Train a model"))
    more = _("A model has been trained. Look at how good it is, then put it to use.")
    return Advice("good", _("All is well. No model is in use yet."), more, "/models", _("See the models"))
