"""Commands on graphics cards."""

from __future__ import annotations

import click

from appliance.app import open_app
from appliance.cli.edge import Edge, table, with_edge
from appliance.cli.services import check_place, systemctl
from appliance.errors import Conflict, FalajError, Unavailable
from appliance.keys import write_file
from appliance.runtimes import accelerators
from appliance.runtimes.accelerators import Accelerator
from appliance.security.roles import SYSTEM
from appliance.verbs import perform
from appliance.verbs.call import Call
from appliance.verbs.gpu import DROP_INS, PACKAGE

_DEVICES = {  # what a driver's devices are called in DeviceAllow=, systemd.resource-control(5)
    "nvidia": (
        "char-nvidia",
        "char-nvidia-frontend",
        "char-nvidiactl",
        "char-nvidia-uvm",
        "char-nvidia-caps",
    ),
    "i915": ("char-drm",),
    "xe": ("char-drm",),
    "intel_vpu": ("char-accel",),
}
_UNITS = ("falaj-inference.service", "falaj-worker.service")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@click.pass_context
def gpu(context: click.Context, as_json: bool) -> None:
    """Graphics cards: which there are, and whether they are used."""
    if context.invoked_subcommand is None:
        context.invoke(gpu_show, as_json=as_json)


@gpu.command("show")
@with_edge
def gpu_show(edge: Edge) -> None:
    """List the graphics cards of this machine. Works also when nothing runs."""
    try:
        found = edge.call("gpu.show")
    except Unavailable:
        found = perform(open_app(edge.home), Call("gpu.show", SYSTEM))
    columns = {
        "name": "device",
        "kind": "kind",
        "address": "address",
        "driver": "driver",
        "fix": "what is missing",
    }
    shown = [device | {"fix": device["fix"] or "nothing"} for device in found["devices"]]
    told = table(shown, columns, "No graphics card was found in this machine. None is needed.")
    if found["enabled"]:
        told += "\n\nThe appliance may use them. To end that: sudo falaj gpu disable"
    elif any(device["usable"] for device in found["devices"]):
        told += "\n\nThey are not used. To use them: sudo falaj gpu enable"
    edge.done(found, told)


@gpu.command("enable")
@with_edge
def gpu_enable(edge: Edge) -> None:
    """Let the appliance use the graphics cards. Needs the package falaj-gpu for those by NVIDIA."""
    check_place(edge, "gpu enable")
    usable = _usable()
    if any(one.maker == "NVIDIA" for one in usable) and not PACKAGE.is_dir():
        raise FalajError(
            "The package falaj-gpu is not installed.", "Install it: sudo apt install ./falaj-gpu_*.deb"
        )
    text = drop_in(usable)
    for path in DROP_INS:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_file(path, text.encode(), 0o644)
    _restart()
    named = ", ".join(one.name for one in usable)
    edge.done(
        {"enabled": True, "devices": [one.address for one in usable]}, f"The appliance may use: {named}"
    )


@gpu.command("disable")
@with_edge
def gpu_disable(edge: Edge) -> None:
    """Run everything on the processor again."""
    check_place(edge, "gpu disable")
    for path in DROP_INS:
        path.unlink(missing_ok=True)
    _restart()
    edge.done({"enabled": False}, "Everything runs on the processor again.")


def drop_in(usable: list[Accelerator]) -> str:
    """What a unit needs, beyond its own file, to reach these devices; see systemd.exec(5)."""
    drivers = sorted({one.driver for one in usable})
    lines = [
        "# Made by: falaj gpu enable",
        "[Service]",
        "PrivateDevices=no",
        "DevicePolicy=closed",
        *(f"DeviceAllow={name} rw" for driver in drivers for name in _DEVICES[driver]),
        "SupplementaryGroups=render video",
    ]
    if "nvidia" in drivers:  # its module comes before the one in the environment, which has the same name
        lines.append(f"Environment=FALAJ_OVERLAY={PACKAGE}")
    return "\n".join(lines) + "\n"


def _usable() -> list[Accelerator]:
    """The devices that can be given. Raises Conflict with the reason when there is none."""
    found = accelerators.found()
    usable = [one for one in found if not one.fix]
    if not found:
        raise Conflict(
            "This machine has no graphics card that the system knows of.",
            "Everything goes on on the processor. See the system's own list: lspci",
        )
    if not usable:
        raise Conflict(
            "; ".join(f"{one.name}: {one.fix}" for one in found), "Then run again: sudo falaj gpu enable"
        )
    return usable


def _restart() -> None:
    systemctl("daemon-reload")
    systemctl("restart", *_UNITS)


COMMANDS = [gpu]
