"""What a process may do where it runs: tried, and told as one line of JSON. Plain python3, no library.

Run as ExecStartPre= of a unit it has that unit's sandbox; run by itself, as root, it may do all of it.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000


def tcp(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=3):
        pass


def udp(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", (host, port))


def bus() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("/run/dbus/system_bus_socket")


def broker() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("/run/falaj-egress/egress.sock")


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def code_in_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def system_call(number: int, *arguments: int) -> None:
    if LIBC.syscall(number, *arguments) < 0 and ctypes.get_errno() == errno.EPERM:
        raise PermissionError


def unshare() -> None:
    if LIBC.unshare(CLONE_NEWUSER):
        raise PermissionError


TRIALS = {
    "connect to the office": lambda: tcp("10.78.0.2", 8099),
    "connect to a port of this machine": lambda: tcp("127.0.0.1", 7600),
    "send a datagram": lambda: udp("10.78.0.2", 53),
    "speak to the system bus": bus,
    "speak to the egress role": broker,
    "write to /etc": lambda: write("/etc/falaj-probe"),
    "write to /usr": lambda: write("/usr/falaj-probe"),
    "write to the data directory": lambda: write("/var/lib/falaj/probe"),
    "write among the models": lambda: write("/var/lib/falaj/blobs/probe"),
    "read the databases": lambda: read("/var/lib/falaj/registry.db"),
    "see the home folders": lambda: os.listdir("/root"),
    "run code from memory": code_in_memory,
    "make a namespace": unshare,
    "set the clock": lambda: system_call(227, 0, 0),  # clock_settime
    "see the processes of others": lambda: read("/proc/1/cmdline"),
}


def main() -> None:
    found = {}
    for name, trial in TRIALS.items():
        try:
            trial()
            found[name] = True
        except (OSError, ValueError):
            found[name] = False
    print("PROBE " + json.dumps(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
