"""Signed-in browsers: a random secret in a cookie, its SHA-256 in the registry.

A session ends when it was not used for some hours, after some days in any case, when its user signs out or
changes the password, or when somebody ends it. The token against forged forms (CSRF) is derived from
the secret, so it needs no storage and dies with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from appliance import clock
from appliance.config import AdminSettings
from appliance.db import Store, Transaction
from appliance.errors import FalajError
from appliance.registry import sessions, users
from appliance.registry.sessions import Session
from appliance.registry.users import User

_SEEN_EVERY = timedelta(minutes=1)  # a page that polls writes once a minute, not once a second
_SHORT = 200


def begin(
    tx: Transaction, user: User, address: str, browser: str, settings: AdminSettings
) -> tuple[str, Session]:
    """Sign a user in; (secret for the cookie, session)."""
    secret = secrets.token_urlsafe(32)
    now = clock.parse(clock.now())
    session = Session(
        id=secrets.token_hex(6),
        digest=_digest(secret),
        user=user.name,
        address=address[:_SHORT],
        browser=browser[:_SHORT],
        created_at=clock.stamp(now),
        seen_at=clock.stamp(now),
        expires_at=clock.stamp(now + timedelta(days=settings.session_days)),
    )
    sessions.add(tx, session)
    users.seen(tx, user.name, session.created_at)
    tx.audit(f"user:{user.name}", "session.begin", f"session:{session.id}", {"address": session.address})
    return secret, session


def who(
    store: Store, secret: str, settings: AdminSettings, by_itself: bool = False
) -> tuple[Session, User] | None:
    """Whose session this is, or None when it is over.

    Notes that it was used, unless the page asks `by_itself`: an open tab must not count as somebody there.
    """
    session = sessions.find_by_digest(store, _digest(secret))
    if session is None or is_over(session, settings):
        return None
    now, seen = clock.parse(clock.now()), clock.parse(session.seen_at)
    user = users.find_or_none(store, session.user)
    if user is None:
        return None
    if now - seen > _SEEN_EVERY and not by_itself:
        _note(store, session, clock.stamp(now))
    return session, user


def is_over(session: Session, settings: AdminSettings) -> bool:
    """Whether a session has ended by its age, or because nobody used it."""
    now, seen = clock.parse(clock.now()), clock.parse(session.seen_at)
    return session.expires_at <= clock.stamp(now) or now - seen > timedelta(hours=settings.idle_hours)


def csrf_token(secret: str) -> str:
    """What every form and script of this session must send along."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def _note(store: Store, session: Session, at: str) -> None:
    try:
        with store.write() as tx:
            sessions.seen(tx, session.id, at)
            users.seen(tx, session.user, at)
    except FalajError:  # a full disk must not lock out whoever comes to free it
        return


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
