"""The ports of the settings: free, the appliance's, or another program's, which is named."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psutil

from appliance import addresses, presence
from appliance.config import Config, under_systemd
from appliance.verbs.check import Check

_KINDS = {"inference": ("inference", "inference-worker"), "admin": ("admin",)}  # as presence names them


def check_ports(settings: Config) -> Check:
    """Look at who listens; in a network namespace of its own, a role tells what can be known there."""
    listening, told, taken, alone = _listening(), [], [], _sees_no_network()
    for section, kinds in _KINDS.items():
        part = getattr(settings, section)
        ours = _ours(settings.run_dir, kinds)
        holders = {
            name for host in addresses.hosts(part.host) for name in _holders(listening, host, part.port)
        }
        others = holders - ours
        if holders and (not others or holders & ours):
            told.append(f"{part.port} is the appliance's")
        elif others == {1} and under_systemd(settings.home):
            told.append(f"{part.port} is held by systemd for the appliance")
        elif holders:
            taken.append((section, part.port, _named(others)))
        elif ours:
            told.append(f"{part.port} is the appliance's")
        else:
            told.append(f"{part.port} can't be seen from here" if alone else f"{part.port} is free")
    if taken:
        detail = "; ".join(f"port {port} is taken by {who}" for _, port, who in taken)
        fix = f"Stop that program, or choose another: falaj config set {taken[0][0]}.port PORT"
        return Check("ports", False, detail, fix)
    return Check("ports", True, ", ".join(told))


def _listening() -> list[Any]:
    try:
        found = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return []
    return [one for one in found if one.status == psutil.CONN_LISTEN]


def _holders(listening: list[Any], host: str, port: int) -> set[int]:
    """Whose sockets stand in the way of an address: process ids, 0 for one that this account may not see."""
    return {one.pid or 0 for one in listening if one.laddr.port == port and _meets(one.laddr.ip, host)}


def _meets(one: str, other: str) -> bool:
    """Whether two sockets can't both listen there: the same address, or one that means all of its kind."""
    if "::" in (one, other):  # it may take the addresses of IPv4 as well
        return True
    return one == other or ("0.0.0.0" in (one, other) and ":" not in one + other)


def _ours(run_dir: Path, kinds: tuple[str, ...]) -> set[int]:
    """The processes of a role, and its parents, which hold its sockets; 0 is one not to be seen."""
    found = {body["pid"] for kind in kinds for body in presence.present(run_dir, kind)}
    with contextlib.suppress(psutil.Error):
        found |= {parent.pid for pid in set(found) for parent in psutil.Process(pid).parents()}
    return found | {0} if found else found


def _named(pids: set[int]) -> str:
    names = []
    for pid in sorted(pids):
        with contextlib.suppress(psutil.Error):
            names.append(f"{psutil.Process(pid).name()} (pid {pid})" if pid else "")
    return ", ".join(filter(None, names)) or "a program of another account (sudo falaj doctor names it)"


def _sees_no_network() -> bool:
    """Whether there is only the loopback of a namespace of this process's own (proc(5), net/dev)."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines} <= {"lo"}
