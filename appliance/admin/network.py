"""The certificate: its fingerprint, the authority for other machines, and an own one instead."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app, request

from appliance.admin.rendering import _, act, ask, failed, go, page, site, sudo
from appliance.doors import access
from appliance.errors import FalajError
from appliance.security.roles import SYSTEM
from appliance.verbs import perform
from appliance.verbs.call import Call

blueprint = Blueprint("network", __name__)


@blueprint.get("/network")
@access.needs("certificate.show")
def network() -> Any:
    return page("network.html", **_about(), typed={})


def _about() -> dict[str, Any]:
    return {"found": ask("certificate.show"), "sudo": sudo()}


@blueprint.get("/ca.crt")
@access.needs(access.OPEN)
def authority() -> Any:
    """The authority's certificate; no secret, and needed before anybody can sign in without a warning."""
    found = perform(site().app, Call("certificate.ca", SYSTEM))
    response = current_app.make_response(found["certificate"])
    response.headers["Content-Type"] = "application/x-x509-ca-cert"
    response.headers["Content-Disposition"] = 'attachment; filename="falaj-ca.crt"'
    return response


@blueprint.post("/network/renew")
@access.needs("certificate.renew")
def renew() -> Any:
    told = _("A new certificate is shown.")
    new = request.form.get("new_authority") == "yes"
    return act("certificate.renew", told, "/network", "/network", new_authority=new)


@blueprint.post("/network/use")
@access.needs("certificate.use")
def use() -> Any:
    typed = {name: request.form.get(name, "") for name in ("certificate", "key")}
    try:
        ask("certificate.use", **typed)
    except FalajError as error:
        return failed("network.html", error, **_about(), typed=typed)
    return go("/network", "good", _("Your certificate is shown."))


@blueprint.post("/network/forget")
@access.needs("certificate.forget")
def forget() -> Any:
    told = _("The own certificate is shown again.")
    return act("certificate.forget", told, "/network", "/network")
