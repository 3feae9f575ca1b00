"""The package, built once; a Debian without it, one where it was put without network, and ones that boot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.package.chroot import Chroot
from tests.package.machine import Machine, booted
from tests.system.test_fresh_debian import SOURCES

BUILD = ROOT / "packaging" / "deb" / "build.sh"


@dataclass(frozen=True)
class Unpacked:
    """The package's files, and its control files."""

    root: Path
    scripts: Path

    @property
    def venv(self) -> Path:
        return self.root / "usr/lib/falaj/venv"

    @property
    def site(self) -> Path:
        (site,) = self.venv.glob("lib/python3.*/site-packages")
        return site

    @property
    def doc(self) -> Path:
        return self.root / "usr/share/doc/falaj"


def build(out: Path, *options: str) -> Path:
    """Run build.sh; the package it made."""
    done = subprocess.run(
        [BUILD, "--out", out, *options], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .deb: built here, or the one that FALAJ_PACKAGE names."""
    assert os.geteuid() == 0, "the tests of the package need root"
    told = os.environ.get("FALAJ_PACKAGE")
    return Path(told) if told else build(tmp_path_factory.mktemp("package"), "--fast")


@pytest.fixture(scope="session")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "root"], check=True)
    subprocess.run(["dpkg-deb", "--control", package, folder / "scripts"], check=True)
    return Unpacked(folder / "root", folder / "scripts")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Chroot:
    """A Debian 12 with nothing but its base."""
    assert shutil.which("mmdebstrap"), "mmdebstrap is needed: ./install.sh test installs it"
    root = tmp_path_factory.mktemp("bare") / "root"
    sources = next(path for path in SOURCES if path.exists())
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", root, sources], check=True, timeout=600
    )
    return Chroot(root)


@pytest.fixture(scope="session")
def bundle(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a machine without network is given: bundle.sh's folder."""
    folder = tmp_path_factory.mktemp("bundle")
    done = subprocess.run(
        [ROOT / "packaging/deb/bundle.sh", folder, package],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def installed(bare: Chroot, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Chroot:
    """A Debian 12 with the package installed from the bundle, with no network; tests leave it as it is."""
    made = bare.copy(tmp_path_factory.mktemp("installed") / "root")
    shutil.copytree(bundle, made.root / "srv/bundle")
    done = made.tried("/srv/bundle/install.sh", "--offline", "/srv/bundle", timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "the services start with the next boot" in done.stderr
    return made


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian 12 that boots, with what the package depends on, and curl."""
    assert shutil.which("mmdebstrap"), "mmdebstrap is needed: ./install.sh test --slow installs it"
    root = tmp_path_factory.mktemp("debian") / "root"
    sources = next(path for path in SOURCES if path.exists())
    needed = "systemd,systemd-sysv,dbus,python3,libgomp1,ca-certificates,curl,iproute2,procps"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={needed}", "bookworm", root, sources],
        check=True,
        timeout=600,
    )
    return root


@pytest.fixture(scope="session")
def first_started(debian: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine on which the package was installed and has started, switched off again."""
    root = tmp_path_factory.mktemp("started") / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", debian, root], check=True)
    shutil.copy(package, root / "root" / "falaj.deb")
    with booted(root) as machine:
        machine.inside("dpkg", "-i", "/root/falaj.deb")
        machine.until_ready()
        machine.shut_down()
    return root


@pytest.fixture
def machine(first_started: Path, tmp_path: Path) -> Iterator[Machine]:
    """A copy of it, running."""
    subprocess.run(["cp", "-a", "--reflink=auto", first_started, tmp_path / "root"], check=True)
    with booted(tmp_path / "root") as made:
        made.until_ready()
        yield made
    shutil.rmtree(tmp_path / "root")
