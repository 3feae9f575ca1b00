"""A secret sealed for this machine, as systemd opens it for a service (systemd-creds(1), since version 250).

Sealed with a key of this machine that only root reads, and where there is a TPM2 chip with that as well. The
chip's measurements (PCRs) take no part: an update of the firmware must not shut anybody out. Secrets go
through pipes alone, never through arguments, the environment or a file in the open.
"""

from __future__ import annotations

import base64
import os
import subprocess

from appliance.errors import Corrupted, FalajError

_PROGRAM = "systemd-creds"
_SECONDS = 60.0
# the first 16 bytes say with what it was sealed (systemd: src/shared/creds-util.h)
_BY = {
    bytes.fromhex("5a1c6a86df9d4096b1d5a65e0862f19a"): "a key of this machine",
    bytes.fromhex("0c7cc07b117645919c4b0bea08bc20fe"): "the TPM chip",
    bytes.fromhex("93a894094874449090caf2fc93cab553"): "the TPM chip and a key of this machine",
}


class CannotSeal(FalajError):
    """This machine can seal nothing, for us at least; says nothing about what was sealed before."""


def seal(secret: bytes, name: str) -> bytes:
    """The secret as a credential of that name, for this machine only. Raises CannotSeal."""
    return _run("encrypt", secret, f"--name={name}", "--with-key=auto", "--tpm2-pcrs=")


def unseal(sealed: bytes, name: str) -> bytes:
    """What `seal` was given. Raises Corrupted when it does not open here, or was changed."""
    try:
        return _run("decrypt", sealed, f"--name={name}")
    except FalajError as error:
        raise Corrupted(
            "The sealed master key does not open on this machine.",
            "Put it in place with the recovery key: sudo falaj recovery use",
        ) from error


def sealed_by(sealed: bytes) -> str:
    """With what something was sealed, in words; nothing for what systemd has not sealed."""
    try:
        return _BY.get(base64.b64decode(sealed)[:16], "")
    except ValueError:
        return ""


def _run(verb: str, content: bytes, *options: str) -> bytes:
    command = [_PROGRAM, verb, *options, "-", "-"]
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=_SECONDS, check=False, env=_ENVIRONMENT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSeal("The system can't seal a secret.", f"See whether it has {_PROGRAM}.") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise CannotSeal(
            f"{_PROGRAM} {verb} failed: {told[-1][:200]}", "It needs root, and systemd 250 or newer."
        )
    return done.stdout


_ENVIRONMENT = {"PATH": os.defpath + ":/usr/bin:/bin", "LC_ALL": "C"}
