"""The systemd generator: the same addresses as the appliance itself would take, and never a failed boot."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance import addresses, config
from appliance.errors import FalajError
from tests.conftest import ROOT

SCRIPT = ROOT / "systemd" / "falaj-generator"


def loaded() -> ModuleType:
    spec = spec_from_loader("falaj_generator", SourceFileLoader("falaj_generator", str(SCRIPT)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = loaded()
WORDS = st.sampled_from(
    [
        "127.0.0.1", "localhost", "192.168.1.20", "0.0.0.0", "::", "::1", "fd00:0:0::5", "::ffff:10.0.0.1",
        "10.0.0.1", "224.0.0.1", "ff02::1", "fe80::1%eth0", "127.1", "010.0.0.1", "nowhere", "[::1]",
        "1.2.3.4\n", "", " ", "٣.1.1.1",
    ]
)  # fmt: skip
HOSTS = st.lists(WORDS | st.ip_addresses().map(str) | st.text(max_size=6), max_size=4).map(", ".join)


@given(HOSTS)
@example("localhost, 127.0.0.1")
@example("::ffff:0.0.0.0")
def test_it_reads_hosts_as_the_appliance_does(host: str) -> None:
    try:
        expected = addresses.hosts(host)
    except ValueError:
        with pytest.raises(ValueError):
            GENERATOR.hosts(host)
    else:
        assert GENERATOR.hosts(host) == expected


@given(
    st.sampled_from(["admin", "inference"]),
    HOSTS,
    st.integers(-5, 70_000) | st.sampled_from([True, 1.5, "7700"]),
)
def test_it_takes_a_section_as_the_appliance_does(role: str, host: str, port: object) -> None:
    content = {role: {"host": host, "port": port}}
    shown = f'"{port}"' if isinstance(port, str) else str(port).lower()
    quoted = "".join(f"\\U{ord(letter):08x}" for letter in host)
    try:
        held = config.load(Path("/nowhere"), {}, written=f'[{role}]\nhost = "{quoted}"\nport = {shown}\n')
    except FalajError:
        with pytest.raises(ValueError):
            GENERATOR.listening(content, role)
        return
    part = getattr(held, role)
    assert GENERATOR.listening(content, role) == [(one, part.port) for one in addresses.hosts(part.host)]


def test_its_defaults_are_the_appliances() -> None:
    held = config.Config(Path("/nowhere"))
    assert {
        "admin": (held.admin.host, held.admin.port),
        "inference": (held.inference.host, held.inference.port),
    } == GENERATOR.DEFAULTS
    assert GENERATOR.SETTINGS == config.SYSTEM_CONFIG


def generated(
    tmp_path: Path, content: str | bytes | None
) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """What the real script makes of a settings file, in a mount namespace where /etc/falaj is ours."""
    settings, out = tmp_path / "etc", tmp_path / "out"
    settings.mkdir()
    folders = [out / name for name in ("normal", "early", "late")]
    for folder in folders:
        folder.mkdir(parents=True)
    if content is not None:
        (settings / "falaj.toml").write_bytes(content.encode() if isinstance(content, str) else content)
    inside = f"""
        mount -t tmpfs none {tmp_path}/space 2>/dev/null || exit 99
        mkdir -p {tmp_path}/space/etc/falaj && cp -a {settings}/. {tmp_path}/space/etc/falaj/
        cp -a /etc/ld.so.cache /etc/alternatives {tmp_path}/space/etc/ 2>/dev/null
        mount --bind {tmp_path}/space/etc /etc || exit 99
        exec {SCRIPT} {" ".join(map(str, folders))}
    """
    (tmp_path / "space").mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    return done, {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


def test_a_drop_in_for_what_differs(tmp_path: Path) -> None:
    told = '[inference]\nhost = "127.0.0.1, fd00::5"\n[admin]\nport = 7600\n[jobs]\nlease = 30\n'
    done, made = generated(tmp_path, told)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(made) == {"normal/falaj-inference.socket.d/50-settings.conf"}
    (text,) = made.values()
    assert re.findall("^[^#].*", text, re.MULTILINE) == [
        "[Socket]",
        "ListenStream=",
        "ListenStream=127.0.0.1:7601",
        "ListenStream=[fd00::5]:7601",
    ]


@pytest.mark.parametrize("content", [None, "", "[admin]\nhost = 'localhost'\n"])
def test_nothing_where_nothing_differs(tmp_path: Path, content: str | None) -> None:
    done, made = generated(tmp_path, content)
    assert (done.returncode, done.stderr, made) == (0, "", {})


@pytest.mark.parametrize(
    "content",
    [
        "[admin\n",
        b"\xff\xfe",
        "[admin]\nport = 7700\n[inference]\nhost = 'nowhere'\n",
        "[admin]\nport = 0\n",
        "admin = 5\n",
        "[[admin]]\nport = 7700\n",
        "[inference]\nhost = '127.0.0.1\\nExecStart=/bin/sh'\n",
        '[inference]\nhost = "127.0.0.1\\nFileDescriptorName=x"\n',
    ],
)
def test_a_broken_file_changes_no_socket_and_fails_no_boot(tmp_path: Path, content: str | bytes) -> None:
    done, made = generated(tmp_path, content)
    assert (done.returncode, made) == (0, {})
    assert len(done.stderr.splitlines()) == 1
    assert "/etc/falaj/falaj.toml" in done.stderr


def test_folders_that_cannot_be_written_fail_no_boot(tmp_path: Path) -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1


def test_systemd_accepts_the_drop_in(tmp_path: Path) -> None:
    """`systemd-analyze verify` reads the unit with it, and complains of nothing."""
    folder = tmp_path / "units"
    (folder / "falaj-inference.socket.d").mkdir(parents=True)
    (folder / "falaj-inference.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "falaj-inference.socket").write_text("[Socket]\nListenStream=127.0.0.1:7601\n")
    drop_in = folder / "falaj-inference.socket.d" / "50-settings.conf"

    def verified() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", "verify", "--man=no", folder / "falaj-inference.socket"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"},
        )

    hosts = [("127.0.0.1", 7700), ("fd00::5", 7700), ("::", 7701)]
    drop_in.write_text(GENERATOR.drop_in(hosts))
    assert (verified().returncode, verified().stderr) == (0, "")
    drop_in.write_text(GENERATOR.drop_in([("nowhere", 7700)]))  # teeth: it does read the drop-in
    assert "ListenStream" in verified().stderr or verified().returncode != 0
