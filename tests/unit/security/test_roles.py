"""The table of permissions: complete, and deny by default."""

from __future__ import annotations

import pytest

from appliance.api.routes import ROUTES
from appliance.errors import Forbidden
from appliance.security import roles
from appliance.security.roles import FOR_PEOPLE, FOR_TOKENS, OWN_PASSWORD, PERMISSIONS, Caller, Role
from appliance.verbs import VERBS

LOOKS = {verb for verb, allowed in PERMISSIONS.items() if Role.VIEWER in allowed}


def test_every_verb_has_a_row_and_every_row_a_verb() -> None:
    built = any(verb.startswith("certificate.") for verb in VERBS)
    expected = {verb for verb in PERMISSIONS if built or not verb.startswith("certificate.")}
    assert set(VERBS) == expected


def test_every_verb_but_those_of_the_server_itself_has_a_route() -> None:
    routed = {route.verb for route in ROUTES} | {"dataset.add", "metrics"}
    assert routed == {verb for verb, allowed in PERMISSIONS.items() if allowed}


def test_what_is_not_in_the_table_is_for_nobody() -> None:
    for role in Role:
        for verb in ("", "status ", "STATUS", "user", "*", "__init__"):
            assert not roles.may(role, verb)
            with pytest.raises(Forbidden):
                roles.check(Caller("x", role), verb)


@pytest.mark.parametrize("verb", PERMISSIONS)
def test_the_owner_may_do_everything(verb: str) -> None:
    roles.check(Caller("cli:root", Role.OWNER), verb)


def test_no_person_and_no_program_is_the_owner() -> None:
    assert Role.OWNER not in FOR_PEOPLE
    assert Role.OWNER not in FOR_TOKENS
    assert Role.ADMIN not in FOR_TOKENS
    assert [verb for verb, allowed in PERMISSIONS.items() if not allowed] == ["setup.code"]
    assert not any(Role.OWNER in allowed for allowed in PERMISSIONS.values())


def test_more_trust_never_means_less() -> None:
    """Whoever does more can also look; an admin can do everything that any other role can."""
    for role in FOR_PEOPLE:
        assert {verb for verb in PERMISSIONS if roles.may(role, verb)} >= LOOKS
    for verb, allowed in PERMISSIONS.items():
        assert not allowed or Role.ADMIN in allowed, verb


def test_what_a_viewer_may_do_changes_nothing_of_others() -> None:
    """Golden: a verb that a viewer may do has to be added here by hand."""
    assert {
        "status", "upgrade.show", "dataset.ls", "dataset.show", "dataset.profile", "model.ls", "model.show",
        "model.versions", "model.report", "deployment.ls", "deployment.show", "predict", "job.ls",
        "job.show", "audit.ls", "audit.verify", "role.ls", "session.ls", "session.revoke",
        "account.password", "certificate.show", "certificate.ca", "traffic", "drift", "alert.ls", "metrics",
        "egress.ls",
    } == LOOKS  # fmt: skip


@pytest.mark.parametrize("role", FOR_PEOPLE)
def test_a_one_time_password_opens_only_its_change(role: Role) -> None:
    caller = Caller("user:mona", role, "mona", "s", must_change=True)
    for verb in PERMISSIONS:
        if verb == OWN_PASSWORD:
            roles.check(caller, verb)
        else:
            with pytest.raises(Forbidden, match="password of your own"):
                roles.check(caller, verb)


def test_a_refusal_names_who_may() -> None:
    with pytest.raises(Forbidden, match="As viewer") as told:
        roles.check(Caller("user:a", Role.VIEWER), "user.add")
    assert told.value.hint == "Ask somebody who is admin."
    with pytest.raises(Forbidden) as told:
        roles.check(Caller("user:a", Role.ADMIN), "setup.code")
    assert "on the server itself" in told.value.hint
