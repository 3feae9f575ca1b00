"""Verbs on users and what they may do, and the set-up of the first one."""

from __future__ import annotations

import re
import unicodedata

from appliance.app import App
from appliance.db import Row
from appliance.errors import BadInput
from appliance.registry import sessions, users
from appliance.security import passwords, roles
from appliance.security import setup_code as setup
from appliance.verbs.call import Call
from appliance.verbs.certificates import page_address

_LONGEST = 60
# Letters and marks that leave no trace: fillers, joiners, variation selectors (Default_Ignorable).
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def ls(app: App, call: Call) -> list[Row]:
    """Everybody who may sign in, and when they last did something."""
    return [user.summary() for user in users.every(app.home.registry)]


def add(app: App, call: Call) -> Row:
    """Make a user with a one-time password, which is in the reply and nowhere else."""
    name, role = check_user_name(call.text("name")), _role(call)
    password = passwords.one_time_password()
    hashed = passwords.hash_password(password)
    with app.home.registry.write() as tx:
        users.add(tx, name, role, hashed, must_change=True, by=call.actor)
        tx.audit(call.actor, "user.add", f"user:{name}", {"role": role})
    return {"user": name, "role": role, "password": password}


def role(app: App, call: Call) -> Row:
    """Give a user another role. Raises Conflict for the last admin."""
    name, role = call.text("user"), _role(call)
    with app.home.registry.write() as tx:
        before = users.find(tx, name).role
        users.set_role(tx, name, role)
        tx.audit(call.actor, "user.role", f"user:{name}", {"from": before, "to": role})
    return {"user": name, "role": role}


def reset(app: App, call: Call) -> Row:
    """Give a user a new one-time password; all their sessions end."""
    name = call.text("user")
    users.find(app.home.registry, name)
    password = passwords.one_time_password()
    hashed = passwords.hash_password(password)
    with app.home.registry.write() as tx:
        users.set_password(tx, name, hashed, must_change=True)
        ended = sessions.end_all(tx, name)
        tx.audit(call.actor, "user.reset", f"user:{name}", {"sessions_ended": ended})
    return {"user": name, "password": password}


def rm(app: App, call: Call) -> Row:
    """Remove a user; all their sessions end. Raises Conflict for the last admin."""
    name = call.text("user")
    with app.home.registry.write() as tx:
        ended = sessions.end_all(tx, name)
        users.remove(tx, name)
        tx.audit(call.actor, "user.remove", f"user:{name}", {"sessions_ended": ended})
    return {"user": name, "removed": True}


def roles_ls(app: App, call: Call) -> list[Row]:
    """Every role, what it is for, and the verbs that it may do."""
    return [
        {
            "role": role.value,
            "meaning": roles.MEANING[role],
            "may": [verb for verb in roles.PERMISSIONS if roles.may(role, verb)],
        }
        for role in roles.FOR_PEOPLE
    ]


def setup_code(app: App, call: Call) -> Row:
    """A new one-time set-up code for the admin page. Raises Conflict once somebody is set up."""
    with app.home.registry.write() as tx:
        code = setup.make(tx, call.actor)
    told = {"minutes": setup.MINUTES, "tries": setup.TRIES}
    return {"code": code, "open": f"{page_address(app.home)}/setup"} | told


def check_user_name(name: str) -> str:
    """A name to sign in with, in any script. Raises BadInput for what could pass for another name."""
    plain = unicodedata.normalize("NFKC", name).strip()
    kinds = {unicodedata.category(letter)[0] for letter in plain}
    unseen = "  " in plain or not plain.isprintable() or _UNSEEN.search(plain)
    usual = kinds <= {"L", "N", "M", "P", "Z"} and not set(plain) & {"/", "\\"}
    if not 1 <= len(plain) <= _LONGEST or not usual or unseen:
        raise BadInput(
            f"The name of a user can't be {name[:40]!r}.",
            f"Use 1 to {_LONGEST} letters or digits, in any language; no slashes, nothing unseen.",
        )
    return plain


def _role(call: Call) -> str:
    call.text("role")  # it has no default: a forgotten one must not make an admin a viewer
    return call.choice("role", [one.value for one in roles.FOR_PEOPLE])
