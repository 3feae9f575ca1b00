"""States and verdicts in the words of the page: (kind of badge, text)."""

from __future__ import annotations

from typing import Any

from appliance.admin.language import _

Badge = tuple[str, str]
LARGE_CHANGE = 0.25  # population stability index that the literature calls large


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


def drift(found: dict[str, Any] | None) -> Badge:
    """Whether what a model is asked has changed; None where it isn't in use."""
    if found is None:
        return "idle", _("not in use")
    if found["verdict"] == "undecided":
        return "idle", _("too few rows yet: %(rows)s of %(needed)s") % {
            name: f"{found['next'][name]:,}" for name in ("rows", "needed")
        }
    return window(found["verdict"])


def window(verdict: str) -> Badge:
    """What was found of some live rows."""
    return {
        "stable": ("good", _("looks as in training")),
        "drifted": ("warn", _("has changed")),
        "undecided": ("idle", _("too few rows to say")),
    }[verdict]


def alert_state(state: str) -> Badge:
    return {
        "open": ("warn", _("new")),
        "acknowledged": ("idle", _("somebody knows of it")),
        "resolved": ("good", _("resolved")),
    }[state]


def rule(name: str) -> str:
    """What an alert is about."""
    return {"drift": _("What it is asked has changed")}.get(name, name)


def change(score: float) -> str:
    """How much a column differs from the training data."""
    return _("changed a lot") if score >= LARGE_CHANGE else _("changed")


def duration(ms: float | None) -> str:
    """A time in milliseconds: `0.27 ms`, `2.3 ms`, `230 ms`, `1.2 s`."""
    if ms is None:
        return "–"
    if ms >= 1000:
        return _("%s s") % f"{ms / 1000:.1f}"
    return _("%s ms") % (f"{ms:.0f}" if ms >= 100 else f"{ms:.2g}")


def who(actor: str) -> str:
    """Somebody as the audit chain names them, in words."""
    kind, _colon, name = actor.partition(":")
    told = {
        "user": "%s",
        "cli": _("%s, at the server"),
        "token": _("program %s"),
        "address": _("somebody at %s"),
        "account": _("account %s of the server"),
    }.get(kind)
    if told is not None and name:
        return told % name
    return {"system": _("the appliance"), "setup": _("the set-up"), "cli": _("the server")}.get(actor, actor)


def deed(action: str, subject: str = "") -> str:
    """An action of the audit chain in words; its own name where there are none."""
    if action == "access.refused" and subject.startswith("user:"):
        return _("typed a wrong password")
    return {
        "alert.acknowledge": _("knows of an alert"),
        "alert.open": _("an alert was opened"),
        "alert.resolve": _("resolved an alert"),
        "appliance.create": _("the appliance was made"),
        "access.refused": _("was refused"),
        "audit.export": _("took the records out"),
        "certificate.authority": _("a new authority was made"),
        "certificate.forget": _("went back to the own certificate"),
        "certificate.issue": _("a certificate was made"),
        "certificate.use": _("brought a certificate"),
        "dataset.add": _("a table came in"),
        "dataset.remove": _("removed a table"),
        "deployment.begin": _("began to put a version to use"),
        "deployment.fail": _("a version could not be used"),
        "deployment.retire": _("stopped a model's answers"),
        "deployment.switch": _("put a version to use"),
        "egress.allow": _("allowed a connection out"),
        "egress.deny": _("took a connection out back"),
        "egress.test": _("tried a connection out"),
        "job.add": _("asked for a job"),
        "job.cancel": _("stopped a job"),
        "job.cancelled": _("a job was stopped"),
        "job.failed": _("a job failed"),
        "model.approve": _("allowed a refused version"),
        "model.export": _("took a model out"),
        "model.register": _("a model was trained"),
        "model.remove": _("removed a version"),
        "session.begin": _("signed in"),
        "session.end": _("a session was ended"),
        "settings.changed": _("settings were changed"),
        "setup.code": _("a set-up code was made"),
        "setup.done": _("set the appliance up"),
        "token.create": _("made a token"),
        "token.revoke": _("ended a token"),
        "upgrade.back": _("went back to the version before"),
        "upgrade.done": _("a new version took over"),
        "user.add": _("added somebody"),
        "user.password": _("changed their own password"),
        "user.remove": _("removed somebody"),
        "user.reset": _("gave a new one-time password"),
        "user.role": _("changed a role"),
    }.get(action, action)


def browser(told: str) -> str:
    """A browser and its system from what it says of itself: `Firefox, Linux`."""
    names = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {
        "Android": "Android",
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Windows": "Windows",
        "Mac OS": "Mac",
        "CrOS": "Chromebook",
        "Linux": "Linux",
    }
    found = [next((word for sign, word in table.items() if sign in told), "") for table in (names, systems)]
    return ", ".join(filter(None, found)) or told[:40]


def of_the_core(text: str) -> str:
    """A fixed sentence of the core (metrics, rules, verdicts), which web/words.py puts into the catalogue."""
    return _(text)


def role(word: str) -> str:
    return {
        "viewer": _("viewer"),
        "operator": _("operator"),
        "approver": _("approver"),
        "admin": _("admin"),
    }.get(word, word)


def check(name: str) -> str:
    """What the doctor looks at, in words."""
    return {
        "settings": _("Settings"),
        "program": _("Program and libraries"),
        "units": _("Services of the system"),
        "ports": _("Ports"),
        "permissions": _("Who may read the data"),
        "memory": _("Memory"),
        "clock": _("Clock"),
        "gpu": _("Graphics processor"),
        "recovery": _("Recovery key"),
        "upgrade": _("Upgrades"),
        "models": _("Versions of the models in use"),
        "queue": _("Waiting jobs"),
        "keys": _("Keys"),
        "registry": _("Main records"),
        "telemetry": _("Measurements"),
        "audit": _("Chain of records"),
        "blobs": _("Stored files"),
        "disk": _("Room on the disk"),
        "certificate": _("Certificate"),
        "roles": _("Running parts"),
        "deployed": _("Models in use"),
        "egress": _("Connections out"),
    }.get(name, name)


def call_out(verdict: str) -> str:
    """How calls out ended."""
    return {"done": _("answered"), "refused": _("refused"), "failed": _("failed")}.get(verdict, verdict)


def source(word: str) -> str:
    """Where a setting comes from."""
    return {"file": _("from the file"), "environment": _("from the environment")}.get(word, word)


def section(name: str) -> str:
    """What the settings of a section are about."""
    return {
        "inference": _("Answering programs"),
        "admin": _("This page"),
        "tls": _("The certificate"),
        "worker": _("Jobs at the same time"),
        "jobs": _("Each job"),
        "training": _("Training"),
        "gate": _("The quality gate"),
        "data": _("Data that comes in"),
        "telemetry": _("Kept predictions"),
        "drift": _("Noticing change"),
        "mdns": _("A name in the office"),
    }.get(name, name)


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
