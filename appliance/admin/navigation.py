"""The pages in the order of a model's life, each shown to those who may use it."""

from __future__ import annotations

from typing import Any

from appliance.admin.language import N_, _
from appliance.security.roles import Caller, may

# address, label, icon, the verb that it is for
PAGES = (
    ("/", N_("Overview"), "home", "status"),
    ("/datasets", N_("Data"), "data", "dataset.ls"),
    ("/train", N_("Train"), "train", "train"),
    ("/models", N_("Models"), "model", "model.ls"),
    ("/deployments", N_("In use"), "deploy", "deployment.ls"),
    ("/monitoring", N_("Monitoring"), "pulse", "traffic"),
    ("/alerts", N_("Alerts"), "bell", "alert.ls"),
    ("/jobs", N_("Jobs"), "jobs", "job.ls"),
    ("/audit", N_("Records"), "audit", "audit.ls"),
    ("/users", N_("People"), "user", "user.ls"),
    ("/tokens", N_("Programs"), "key", "token.ls"),
    ("/network", N_("Network"), "network", "certificate.show"),
    ("/egress", N_("Connections out"), "out", "egress.ls"),
    ("/settings", N_("Settings"), "settings", "config.ls"),
    ("/checks", N_("Checks"), "check", "doctor"),
    ("/account", N_("My account"), "user", "account.password"),
)


def navigation(caller: Caller, path: str, alerts: int = 0) -> list[dict[str, Any]]:
    """The entries for this caller; the one of this page is marked, and how many alerts there are."""
    return [
        {
            "href": href,
            "label": _(label),
            "icon": icon,
            "current": _is_here(href, path),
            "count": alerts if href == "/alerts" else 0,
        }
        for href, label, icon, verb in PAGES
        if may(caller.role, verb)
    ]


def _is_here(href: str, path: str) -> bool:
    return path == href or (href != "/" and path.startswith(f"{href}/"))
