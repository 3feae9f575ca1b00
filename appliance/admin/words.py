"""States and verdicts in the words of the page: (kind of badge, text)."""

from __future__ import annotations

from appliance.admin.language import _

Badge = tuple[str, str]


def job_state(state: str) -> Badge:
    return {
        "queued": ("idle", _("waiting")),
        "running": ("busy", _("running")),
        "succeeded": ("good", _("done")),
        "failed": ("bad", _("failed")),
        "cancelled": ("idle", _("stopped")),
    }[state]


def job_kind(kind: str) -> str:
    return {"ingest": _("Import"), "train": _("Training")}.get(kind, kind)


def version_state(state: str) -> Badge:
    return {
        "registered": ("good", _("may be used")),
        "refused": ("bad", _("refused by the quality gate")),
        "approved": ("warn", _("allowed by a person")),
    }[state]


def deployment_state(state: str) -> Badge:
    return {
        "preparing": ("busy", _("getting ready")),
        "live": ("good", _("answers now")),
        "retired": ("idle", _("answered before")),
        "failed": ("bad", _("could not be used")),
    }[state]


def verdict(word: str) -> Badge:
    return {
        "pass": ("good", _("passed")),
        "warn": ("warn", _("look at this")),
        "undecided": ("idle", _("not enough rows to say")),
        "fail": ("bad", _("not passed")),
    }[word]


def task(word: str) -> str:
    return {
        "binary": _("yes or no"),
        "multiclass": _("one of several"),
        "regression": _("a number"),
    }.get(word, word)


def column_kind(word: str) -> str:
    return {
        "number": _("number"),
        "integer": _("whole number"),
        "boolean": _("yes/no"),
        "categorical": _("category"),
        "datetime": _("date"),
        "text": _("free text"),
    }.get(word, word)
