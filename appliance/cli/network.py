"""Commands on the certificate under which other machines reach the appliance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from appliance.cli.edge import Edge, when, with_edge
from appliance.errors import BadInput, FalajError

_LONGEST = 128 << 10


@click.group()
def certificate() -> None:
    """How other machines know that it is this appliance (TLS)."""


@certificate.command("show")
@with_edge
def certificate_show(edge: Edge) -> None:
    """Show the certificate in use, its fingerprint and what it is for."""
    found = edge.call("certificate.show")
    edge.done(found, _told(found))


@certificate.command("ca")
@click.option("--out", metavar="FILE", help="Write it there.")
@with_edge
def certificate_ca(edge: Edge, out: str | None) -> None:
    """Give out the authority, for other machines to trust."""
    found = edge.call("certificate.ca")
    if out is None:
        edge.done(found, found["certificate"].rstrip())
        return
    path = Path(out)
    try:
        path.write_text(found["certificate"])
        path.chmod(0o644)  # it is no secret
    except OSError as error:
        raise FalajError(f"{path} cannot be written: {error.strerror}.", "Name another file.") from error
    told = f"{path} is the authority of this appliance. Its SHA-256 fingerprint:\n{found['fingerprint']}"
    edge.done(found | {"file": str(path)}, told)


@certificate.command("renew")
@click.option("--new-authority", is_flag=True, help="Under a new authority, which all have to trust anew.")
@with_edge
def certificate_renew(edge: Edge, new_authority: bool) -> None:
    """Make the certificate anew now. It also happens by itself."""
    _changed(edge, edge.call("certificate.renew", new_authority=new_authority))


@certificate.command("use")
@click.argument("certificate", metavar="CERTIFICATE")
@click.argument("key", metavar="KEY")
@with_edge
def certificate_use(edge: Edge, certificate: str, key: str) -> None:
    """Show a CERTIFICATE of your own from now on.

    CERTIFICATE and KEY are PEM files, the signers of the certificate after it, the key without a password.
    """
    _changed(edge, edge.call("certificate.use", certificate=_read(certificate), key=_read(key)))


@certificate.command("forget")
@with_edge
def certificate_forget(edge: Edge) -> None:
    """Go back from your own certificate to the appliance's."""
    _changed(edge, edge.call("certificate.forget"))


def _changed(edge: Edge, found: dict[str, Any]) -> None:
    late = "" if found["in_force"] else "\nNot every part shows it yet; see: falaj doctor"
    edge.done(found, _told(found) + late)


def _told(found: dict[str, Any]) -> str:
    by = "your own" if found["source"] == "own" else "made by the appliance, renewed by itself"
    lines = [
        f"certificate  {by}",
        f"good         {when(found['not_before'])} to {when(found['not_after'])}",
        f"fingerprint  {found['fingerprint']}",
    ]
    if found["source"] == "authority":
        lines.append(f"authority    {found['authority']['fingerprint']}")
    lines.append(f"for          {', '.join([*found['names'], *found['addresses']]) or 'no name at all'}")
    if found["not_covered"]:
        lines += [f"NOT for      {', '.join(found['not_covered'])}", f"             -> {found['fix']}"]
    open_at = [*found["open"]["admin"], *found["open"]["inference"]]
    lines += [f"open         {link}" for link in open_at]
    if not open_at:
        lines.append("open         by this machine only: see inference.host and admin.host in the settings")
    return "\n".join(lines)


def _read(name: str) -> str:
    """A file of the caller's, read as the caller."""
    try:
        with open(name, "rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise BadInput(f"{name} is far too long for a certificate or a key.", "Name the right file.")
        return content.decode()
    except OSError as error:
        raise BadInput(
            f"{name} cannot be read: {error.strerror}.", "Name a file that you may read."
        ) from error
    except ValueError as error:
        raise BadInput(
            f"{name} is not in PEM form.", "Make it so: openssl x509 (or pkey) -inform DER -in IN -out OUT"
        ) from error


COMMANDS = [certificate]
