"""What every answer of the admin port tells browsers: nothing from elsewhere, no frames, nothing kept.

Content Security Policy level 3 (W3C). The report of a model is one self-contained file with its own style,
so it is shown in a sandbox without scripts instead. No Strict-Transport-Security: it binds a host name, not a
port, and would cut off whatever else that server offers without TLS.
"""

from __future__ import annotations

from flask import Response, g, request

from appliance.doors import guard
from appliance.doors.identify import put

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
REPORT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
_ALWAYS = {
    "Content-Security-Policy": PAGE,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, forms come with `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def add(response: Response) -> Response:
    """Runs after every request; what a view has set stays."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if "form_token" in g and not request.cookies.get(guard.FORM_COOKIE):
        put(request, response, guard.FORM_COOKIE, g.form_token)
    return response
