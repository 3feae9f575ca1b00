"""Asking a deployed model, through the endpoint that applications use."""

from __future__ import annotations

import http.client
import json
import ssl

from appliance import addresses
from appliance.app import App
from appliance.db import Row
from appliance.errors import FalajError, Unavailable, rebuild_from_status
from appliance.home import Home
from appliance.registry.names import parse_reference
from appliance.security import certificates
from appliance.security.local_token import local_token
from appliance.security.trust import trusting
from appliance.verbs.call import Call

_TIMEOUT = 60.0


def predict(app: App, call: Call) -> Row:
    """Predictions of a deployed model for `rows`, a list of objects by column name."""
    name, _ = parse_reference(call.text("model"), "model")
    return ask(app, name, json.dumps({"rows": call.args.get("rows")}).encode())


def ask(app: App, model: str, body: bytes) -> Row:
    """POST to this appliance's own endpoint. Raises what the endpoint answered."""
    connection = _connection(app.home)
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {local_token(app.home.run_dir)}",
    }
    try:
        connection.request("POST", f"/predict/{model}", body, headers)
        reply = connection.getresponse()
        content = json.loads(reply.read())
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"The endpoint's certificate is no longer good: {error.verify_message}.",
            "See: falaj certificate show",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("The endpoint does not answer.", "See: falaj status") from error
    except ValueError as error:
        raise FalajError("The endpoint gave an answer that is not JSON.", "See: falaj doctor") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise rebuild_from_status(content, reply.status)
    answer: Row = content
    return answer


def _connection(home: Home) -> http.client.HTTPConnection:
    """A connection to the endpoint: plain over the loopback where it listens there, else checked TLS."""
    settings = home.config.inference
    host, tls = addresses.nearest(addresses.hosts(settings.host))
    if not tls:
        return http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    shown = certificates.current(home)
    if shown is None:
        raise Unavailable("The endpoint has no certificate yet.", "See: falaj status")
    context = trusting(shown.trust)
    return http.client.HTTPSConnection(host, settings.port, timeout=_TIMEOUT, context=context)
