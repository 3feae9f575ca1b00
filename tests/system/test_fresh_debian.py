"""The README's first command on a Debian 12 that has nothing but its base: `./install.sh try --once`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.system.appliance import free_port

MOUNTS = ("proc", "sys", "dev", "dev/shm")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


@pytest.fixture
def fresh_debian(tmp_path: Path) -> Iterator[Path]:
    """A minimal Debian 12 in a folder, with this machine's way to the package registries."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("needs root and mmdebstrap")
    root = tmp_path / "debian"
    sources = next(path for path in SOURCES if path.exists())
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", root, sources], check=True)
    for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/root/.npmrc"):
        if Path(path).exists():
            shutil.copy(path, root / path[1:])
    for path in Path("/etc/apt/apt.conf.d").glob("99*"):
        shutil.copy(path, root / "etc/apt/apt.conf.d")
    certificates = os.environ.get("PIP_CERT", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(certificates, root / "registry-certificates.pem")
    mounted = []
    try:
        for name in MOUNTS:
            subprocess.run(["mount", "--bind", f"/{name}", root / name], check=True)
            mounted.append(name)
        yield root
    finally:
        for name in reversed(mounted):
            subprocess.run(["umount", root / name], check=True)


@pytest.mark.slow
def test_try_once_on_a_fresh_debian(fresh_debian: Path) -> None:
    target = fresh_debian / "opt" / "falaj"
    subprocess.run(["git", "clone", "--quiet", ROOT, target], check=True)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "PIP_CERT": "/registry-certificates.pem",
        "NODE_EXTRA_CA_CERTS": "/registry-certificates.pem",
        "FALAJ_INFERENCE_PORT": str(free_port()),
        "FALAJ_ADMIN_PORT": str(free_port()),
    }
    command = ["chroot", fresh_debian, "/opt/falaj/install.sh", "try", "--once", "--json"]
    for attempt in ("first", "second"):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        shown = json.loads(done.stdout.splitlines()[-1])
        print(attempt, shown)
        assert shown["failed_requests"] == 0
        assert shown["deploy"]["dropped"] == 0
        assert shown["drift_alert"]["model"] == "breast-cancer"
        assert "mean radius" in shown["drift_alert"]["features"]
        values = {one["name"]: one for one in shown["models"]}
        assert values["digits"]["runtime"] == "openvino"
        assert values["digits"]["value"] >= 0.95
        assert values["breast-cancer"]["value"] >= 0.98
    assert shown["seconds"] < 120
