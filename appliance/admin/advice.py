"""The one sentence of the start page: is all well, and what to do next. Pure: facts in, a sentence out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.admin.language import _, ngettext


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
    troubles: Sequence[tuple[str, str]] = (),
) -> Advice:
    """Trouble first, then the next step on the road from a table to answers.

    `tokens`: how many programs may ask, or None for somebody who can't make a token; `can`: what the reader
    may do, so that nobody is sent to a page that stays shut; `troubles`: what is wrong with the machine and
    what to do, of which the first is told here where nothing is worse.
    """
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
    if jobs and jobs[0]["state"] == "failed":
        href = f"/jobs/{jobs[0]['job']}"
        more = jobs[0]["error"]["error"] if jobs[0]["error"] else ""
        return Advice(
            "warn", _("The appliance runs, but the last job failed."), more, href, _("See what happened")
        )
    return _next_step(status["datasets"], models, tokens, can)


def _next_step(
    datasets: int, models: list[dict[str, Any]], tokens: int | None, can: Callable[[str], bool]
) -> Advice:
    answering = sum(1 for model in models if model["live"])
    if answering:
        sentence = ngettext(
            "All is well. One model answers.", "All is well. %(count)d models answer.", answering
        ) % {"count": answering}
        if tokens == 0:
            more = _("Your programs can ask it once they have a token.")
            return Advice("good", sentence, more, "/tokens#make", _("Let a program ask"))
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
