"""Coming in: set-up, sign-in, sign-out; and the verbs on sessions and one's own password.

What happens before somebody is known (`set_up`, `sign_in`) is no verb: no role may do it, anybody may try.
"""

from __future__ import annotations

from appliance.app import App
from appliance.db import Row, Transaction
from appliance.errors import BadInput, Conflict, Forbidden, Unauthenticated
from appliance.registry import sessions, users
from appliance.registry.sessions import Session
from appliance.registry.users import User
from appliance.security import backoff, passwords
from appliance.security import sessions as signing_in
from appliance.security import setup_code as setup
from appliance.security.backoff import Attempt
from appliance.security.roles import Role
from appliance.verbs.call import Call
from appliance.verbs.people import check_user_name


def set_up(app: App, code: str, name: str, password: str, address: str, browser: str) -> tuple[str, Session]:
    """Make the first user, an admin, against the set-up code, and sign them in.

    The code is checked first: without it nobody learns anything, and a bad password costs no try more.
    """
    checked = setup.check(app.home.registry, code)
    name = check_user_name(name)
    passwords.check_new(password, name)
    hashed = passwords.hash_password(password)
    with app.home.registry.write() as tx:
        setup.use(tx, checked)
        users.add(tx, name, Role.ADMIN, hashed, must_change=False, by="setup")
        tx.audit(f"user:{name}", "setup.done", f"user:{name}", {"address": address})
        return signing_in.begin(tx, users.find(tx, name), address, browser, app.home.config.admin)


def sign_in(app: App, name: str, password: str, address: str, browser: str) -> tuple[str, Session]:
    """(secret of the cookie, session). Raises Unauthenticated, and Overloaded after too many wrong tries."""
    attempt = Attempt(users.folded(name), backoff.network(address))
    backoff.begin(app.home.telemetry, attempt)
    user = users.find_typed(app.home.registry, name)
    if not passwords.is_right(password, user.password if user else None) or user is None:
        raise WrongPassword(user)
    with app.home.registry.write() as tx:
        now = users.find_or_none(tx, user.name)
        if now is None or now.password != user.password:  # changed or removed while it was checked
            raise WrongPassword(user)
        made = signing_in.begin(tx, now, address, browser, app.home.config.admin)
    backoff.succeed(app.home.telemetry, attempt)
    return made


class WrongPassword(Unauthenticated):
    """401; says the same whether there is such a user or not. `about` is for the records only."""

    def __init__(self, user: User | None) -> None:
        super().__init__("The name or the password is wrong.", "Try again, or ask an admin for a new one.")
        self.about = f"user:{user.name}" if user else ""


def sign_out(app: App, session: str) -> None:
    """End one's own session."""
    with app.home.registry.write() as tx:
        ended = sessions.find(tx, session)
        _end(tx, ended, f"user:{ended.user}")


def ls(app: App, call: Call) -> list[Row]:
    """One's own sessions; an admin sees those of everybody."""
    whose = None if _looks_after_others(call) else call.caller.user or ""
    return [
        session.summary() | {"current": session.id == call.caller.session}
        for session in sessions.every(app.home.registry, whose)
    ]


def revoke(app: App, call: Call) -> Row:
    """End a session at once: one's own, or as an admin anybody's."""
    id = call.text("session")
    with app.home.registry.write() as tx:
        session = sessions.find(tx, id)
        if session.user != call.caller.user and not _looks_after_others(call):
            raise Forbidden("This is not your session.", "Ask an admin.")
        _end(tx, session, call.actor)
    return {"session": id, "revoked": True}


def password(app: App, call: Call) -> Row:
    """Change one's own password; all other sessions of the user end."""
    name = call.caller.user
    if name is None:
        raise BadInput("Only somebody who is signed in has a password.", "Use: falaj user reset NAME")
    old, new = call.text("old"), call.text("new")
    own = f"own session of {name}"  # what others try at the sign-in is no concern of theirs
    attempt = Attempt(own, own)
    backoff.begin(app.home.telemetry, attempt)
    before = users.find(app.home.registry, name).password
    if not passwords.is_right(old, before):
        raise Forbidden("This is not your present password.", "Type it again.")
    backoff.succeed(app.home.telemetry, attempt)
    if old == new:
        raise BadInput("This is the password that you have already.", "Choose another one.")
    passwords.check_new(new, name)
    hashed = passwords.hash_password(new)
    with app.home.registry.write() as tx:
        if users.find(tx, name).password != before:
            raise Conflict("Your password was changed meanwhile.", "Sign in with the new one.")
        users.set_password(tx, name, hashed, must_change=False)
        sessions.end_all(tx, name, but=call.caller.session)
        tx.audit(call.actor, "user.password", f"user:{name}")
    return {"user": name, "changed": True}


def _end(tx: Transaction, session: Session, by: str) -> None:
    sessions.end(tx, session.id)
    tx.audit(by, "session.end", f"session:{session.id}", {"user": session.user})


def _looks_after_others(call: Call) -> bool:
    return call.caller.role in (Role.ADMIN, Role.OWNER)
