"""The pages in the order of a model's life, each shown to those who may use it."""

from __future__ import annotations

from typing import Any

from appliance.admin.language import _
from appliance.security.roles import Caller, may

# address, label, icon, the verb that it is for
PAGES = (
    ("/", "Overview", "home", "status"),
    ("/datasets", "Data", "data", "dataset.ls"),
    ("/train", "Train", "train", "train"),
    ("/models", "Models", "model", "model.ls"),
    ("/deployments", "In use", "deploy", "deployment.ls"),
    ("/jobs", "Jobs", "jobs", "job.ls"),
    ("/audit", "Records", "audit", "audit.ls"),
    ("/users", "People", "user", "user.ls"),
    ("/tokens", "Programs", "key", "token.ls"),
    ("/network", "Network", "network", "certificate.show"),
    ("/checks", "Checks", "settings", "doctor"),
    ("/account", "My account", "user", "account.password"),
)


def navigation(caller: Caller, path: str) -> list[dict[str, Any]]:
    """The entries for this caller; the one of this page is marked."""
    return [
        {"href": href, "label": _(label), "icon": icon, "current": _is_here(href, path)}
        for href, label, icon, verb in PAGES
        if may(caller.role, verb)
    ]


def _is_here(href: str, path: str) -> bool:
    return path == href or (href != "/" and path.startswith(f"{href}/"))
