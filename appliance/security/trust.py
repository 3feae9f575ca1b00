"""Connecting to the appliance's own servers, by whatever address, trusting its certificate and no other."""

from __future__ import annotations

import ssl


def trusting(pem: str) -> ssl.SSLContext:
    """A context in which exactly what these certificates are, or have signed, is believed.

    They are this appliance's own, which signs for nothing else: whoever shows one of them is the appliance.
    So the name in it says nothing more, and an address that it is not for must not shut its owner out.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the owner's certificate comes without its root
    context.load_verify_locations(cadata=pem)
    return context
