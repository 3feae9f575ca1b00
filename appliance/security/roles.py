"""Who may do what: one table of verbs and roles, asked in one place (`verbs.perform`).

Deny by default: a verb that is not in the table may be done by nobody. `docs/permissions.md` is made from
this table, and a test walks every door with every role against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import Forbidden


class Role(StrEnum):
    VIEWER = "viewer"  # looks, and asks for predictions
    OPERATOR = "operator"  # brings data, trains, deploys and takes back
    APPROVER = "approver"  # decides what goes live, also against the gate; gives models and records out
    ADMIN = "admin"  # all of it, and users, tokens and certificates
    OWNER = "owner"  # acts on the server itself, as the owner of the data directory or root


MEANING: dict[Role, str] = {
    Role.VIEWER: "looks at everything and asks models for predictions",
    Role.OPERATOR: "also brings data in, trains, deploys and takes back",
    Role.APPROVER: "looks, decides what goes live (also against the gate), and gives models and records out",
    Role.ADMIN: "does all of it, and looks after users, tokens and certificates",
}
FOR_PEOPLE = tuple(MEANING)
FOR_TOKENS = (Role.VIEWER, Role.OPERATOR, Role.APPROVER)  # a program never looks after users

_EVERYBODY = frozenset(FOR_PEOPLE)
_MAKES = frozenset({Role.OPERATOR, Role.ADMIN})
_RELEASES = frozenset({Role.OPERATOR, Role.APPROVER, Role.ADMIN})
_DECIDES = frozenset({Role.APPROVER, Role.ADMIN})
_ADMIN = frozenset({Role.ADMIN})
_OWNER: frozenset[Role] = frozenset()  # only on the server itself

PERMISSIONS: dict[str, frozenset[Role]] = {
    "status": _EVERYBODY,
    "doctor": _RELEASES,
    "gpu.show": _RELEASES,
    "upgrade.show": _EVERYBODY,
    "config.ls": _MAKES,
    "dataset.add": _MAKES,
    "dataset.ls": _EVERYBODY,
    "dataset.show": _EVERYBODY,
    "dataset.profile": _EVERYBODY,
    "dataset.rm": _MAKES,
    "train": _MAKES,
    "model.ls": _EVERYBODY,
    "model.show": _EVERYBODY,
    "model.versions": _EVERYBODY,
    "model.report": _EVERYBODY,
    "model.export": _DECIDES,
    "model.approve": _DECIDES,
    "model.rm": _MAKES,
    "deploy": _RELEASES,
    "rollback": _RELEASES,
    "undeploy": _RELEASES,
    "deployment.ls": _EVERYBODY,
    "deployment.show": _EVERYBODY,
    "predict": _EVERYBODY,
    "prediction.ls": _RELEASES,
    "prediction.show": _RELEASES,
    "traffic": _EVERYBODY,
    "drift": _EVERYBODY,
    "alert.ls": _EVERYBODY,
    "alert.ack": _RELEASES,
    "alert.resolve": _RELEASES,
    "metrics": _EVERYBODY,
    "token.create": _ADMIN,
    "token.ls": _DECIDES,
    "token.revoke": _ADMIN,
    "job.ls": _EVERYBODY,
    "job.show": _EVERYBODY,
    "job.logs": _RELEASES,
    "job.cancel": _MAKES,
    "audit.ls": _EVERYBODY,
    "audit.verify": _EVERYBODY,
    "audit.export": _DECIDES,
    "user.ls": _ADMIN,
    "user.add": _ADMIN,
    "user.role": _ADMIN,
    "user.reset": _ADMIN,
    "user.rm": _ADMIN,
    "role.ls": _EVERYBODY,
    "session.ls": _EVERYBODY,
    "session.revoke": _EVERYBODY,
    "account.password": _EVERYBODY,
    "recovery.show": _ADMIN,
    "recovery.make": _ADMIN,
    "recovery.check": _ADMIN,
    "setup.code": _OWNER,
    "certificate.show": _EVERYBODY,
    "certificate.ca": _EVERYBODY,
    "certificate.renew": _ADMIN,
    "certificate.use": _ADMIN,
    "certificate.forget": _ADMIN,
    "egress.ls": _EVERYBODY,
    "egress.allow": _ADMIN,
    "egress.deny": _ADMIN,
    "egress.test": _ADMIN,
}
OWN_PASSWORD = "account.password"  # the only verb of somebody who still has the password that others know


@dataclass(frozen=True)
class Caller:
    """Who asks. `actor` is the name in the audit chain, e.g. `user:mona`, `token:3f2a`, `cli:root`."""

    actor: str
    role: Role
    user: str | None = None
    session: str | None = None
    must_change: bool = False  # has yet to choose a password of their own


SYSTEM = Caller("system", Role.OWNER)


def may(role: Role, verb: str) -> bool:
    """Whether a role may do a verb."""
    allowed = PERMISSIONS.get(verb)
    return allowed is not None and (role is Role.OWNER or role in allowed)


def check(caller: Caller, verb: str) -> None:
    """Raises Forbidden unless the caller may do this."""
    if caller.must_change and verb != OWN_PASSWORD:
        raise Forbidden("Choose a password of your own first.", "Do it under 'My account'.")
    if not may(caller.role, verb):
        able = [role.value for role in FOR_PEOPLE if may(role, verb)]
        who = f"Ask somebody who is {' or '.join(able)}." if able else "It is done on the server itself."
        raise Forbidden(f"As {caller.role.value} you may not do this ({verb}).", who)
