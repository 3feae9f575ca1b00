"""What lies in the package, and what doesn't."""

from __future__ import annotations

import base64
import hashlib
import json
import marshal
import re
import stat
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from types import CodeType

import pytest

from appliance import __version__
from appliance.cli import main as falaj
from tests.conftest import ROOT
from tests.package.conftest import Unpacked, build

LOCK = (ROOT / "packaging/lock.txt").read_text()
LEFT_OUT = (ROOT / "packaging/deb/left-out").read_text()
LOCKED = set(re.findall(r"^([a-z0-9.-]+)==", LOCK, re.MULTILINE))
IN_IT = LOCKED - set(re.findall(r"^([a-z-]+): \w", LEFT_OUT, re.MULTILINE))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def control(package: Path, field: str) -> str:
    told = subprocess.run(["dpkg-deb", "--field", package, field], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def test_its_version_is_the_appliances(package: Path) -> None:
    assert control(package, "Version") == __version__
    assert package.name == f"falaj_{__version__}_{control(package, 'Architecture')}.deb"


def test_it_depends_on_this_distributions_python_only(package: Path) -> None:
    depends = control(package, "Depends").split(", ")
    said = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=True).stdout
    minor = int(said.split(".")[1])
    assert f"python3 (>= 3.{minor})" in depends
    assert f"python3 (<< 3.{minor + 1})" in depends
    assert any(one.startswith("libgomp1") for one in depends)


def test_nothing_under_etc_so_no_upgrade_ever_asks(unpacked: Unpacked) -> None:
    assert not (unpacked.scripts / "conffiles").exists()
    assert [one.name for one in unpacked.root.iterdir()] == ["usr"]


def test_all_of_it_is_roots_and_nobody_elses_to_write(unpacked: Unpacked) -> None:
    for path in unpacked.root.rglob("*"):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
        if not stat.S_ISLNK(status.st_mode):
            mode = stat.S_IMODE(status.st_mode)
            assert mode in ((0o755,) if path.is_dir() else (0o644, 0o755)), f"{path} {mode:o}"


def test_it_stays_small(package: Path, unpacked: Unpacked) -> None:
    unpacked_mb = sum(path.lstat().st_size for path in unpacked.root.rglob("*")) / 1e6
    packed_mb = package.stat().st_size / 1e6
    print(f"{packed_mb:.0f} MB packed, {unpacked_mb:.0f} MB unpacked")
    assert unpacked_mb < 900
    assert packed_mb < 200


def test_all_of_the_lock_is_in_it(unpacked: Unpacked) -> None:
    found = {plain(one.name) for one in distributions(path=[str(unpacked.site)])}
    assert found == IN_IT
    assert {"openvino-telemetry", "pip"} == LOCKED - IN_IT


def test_every_library_is_the_wheels_own_byte_for_byte(unpacked: Unpacked) -> None:
    """Stripped ones would load, and then break numpy: each is compared with what its wheel's RECORD says."""
    wanted = {}
    for one in distributions(path=[str(path) for path in ROOT.glob(".venv/lib/python3.*/site-packages")]):
        for file in one.files or []:
            if file.hash is not None:
                wanted[str(file)] = file.hash.value
    libraries = [
        path for path in unpacked.site.rglob("*") if ".so" in path.suffixes and not path.is_symlink()
    ]
    assert len(libraries) > 150
    for path in libraries:
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=")
        assert digest.decode() == wanted[str(path.relative_to(unpacked.site))], path


def test_every_module_is_compiled_for_where_it_will_lie(unpacked: Unpacked) -> None:
    modules = list(unpacked.site.rglob("*.py"))
    assert len(modules) > 2000
    for path in modules:
        (compiled,) = path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc")
        content = compiled.read_bytes()
        assert content[4:8] == b"\x01\0\0\0", f"{compiled} is compared with its source when it is loaded"
        code = marshal.loads(content[16:])  # noqa: S302
        assert isinstance(code, CodeType)
        assert code.co_filename == f"/{path.relative_to(unpacked.root)}"


def test_nothing_tells_how_it_was_installed(unpacked: Unpacked) -> None:
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        assert not list(unpacked.site.rglob(name))
    assert sorted(one.name for one in (unpacked.venv / "bin").iterdir())[0].startswith("python")
    assert "command" not in (unpacked.venv / "pyvenv.cfg").read_text()


def test_the_pages_are_in_it_with_what_they_load(unpacked: Unpacked) -> None:
    for name in ("templates/base.html", "static/app.css", "static/vendor/htmx.min.js", "locale/falaj.pot"):
        assert (unpacked.site / "web" / name).is_file()
    for kind in ("**/*.sql", "**/*.txt", "**/*.css", "py.typed"):
        ours = {path.relative_to(ROOT / "appliance") for path in (ROOT / "appliance").glob(kind)}
        assert ours <= {
            path.relative_to(unpacked.site / "appliance")
            for path in unpacked.site.rglob("*")
            if path.is_relative_to(unpacked.site / "appliance")
        }


def test_the_maintainer_scripts_are_plain_and_fetch_nothing(unpacked: Unpacked) -> None:
    for name in ("preinst", "postinst", "prerm", "postrm"):
        script = unpacked.scripts / name
        subprocess.run(["dash", "-n", script], check=True)
        commands = re.sub(r"#.*", "", script.read_text())
        assert not re.search(r"\b(curl|wget|apt|apt-get|pip|nc|debconf)\b|://", commands), name


def test_every_command_has_a_manual_page(unpacked: Unpacked, tmp_path: Path) -> None:
    manual = unpacked.root / "usr/share/man"
    found = {path.name for path in manual.rglob("*.gz")}
    commands = {f"falaj-{name}.1.gz" for name in falaj.commands}
    assert found == commands | {"falaj.1.gz", "falaj.toml.5.gz"}
    for page in manual.rglob("*.gz"):
        rendered = ["man", "--local-file", "--warnings=all", "-E", "UTF-8", "-Tutf8", "-Z", page]
        done = subprocess.run(rendered, capture_output=True, text=True, check=True)
        assert not done.stderr, f"{page.name}: {done.stderr}"


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "bash-completion/completions/falaj"),
        ("zsh", "zsh/vendor-completions/_falaj"),
        ("fish", "fish/vendor_completions.d/falaj.fish"),
    ],
)
def test_shells_complete_it(unpacked: Unpacked, shell: str, path: str) -> None:
    assert f"_FALAJ_COMPLETE={shell}_complete" in (unpacked.root / "usr/share" / path).read_text()


def test_every_part_has_its_licence(unpacked: Unpacked) -> None:
    told = (unpacked.doc / "copyright").read_text()
    stanzas = [dict(re.findall(r"^([A-Z]\w+): (.*)", one, re.MULTILINE)) for one in told.split("\n\n")]
    assert all({"Files", "Copyright", "License"} <= set(one) for one in stanzas[1:])
    parts = {one["Comment"].split()[0] for one in stanzas[2:]}
    assert parts > IN_IT
    kept = {one.name for one in (unpacked.doc / "licences").iterdir()}
    assert IN_IT - kept == {"flatbuffers"}, "its wheel carries no licence file"


def test_the_bill_of_materials_names_all_of_it_by_digest(unpacked: Unpacked) -> None:
    bill = json.loads((unpacked.doc / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bill["metadata"]["timestamp"])
    assert bill["metadata"]["component"]["version"] == __version__
    parts = bill["components"]
    assert {one["name"] for one in parts if one["purl"].startswith("pkg:pypi/")} == IN_IT
    assert {one["name"] for one in parts} - IN_IT == {
        "@picocss/pico",
        "echarts",
        "htmx.org",
        "tslib",
        "zrender",
    }
    references = [one["bom-ref"] for one in parts]
    assert len(set(references)) == len(references)
    assert bill["dependencies"][0]["dependsOn"] == references
    for one in parts:
        assert one["type"] == "library"
        assert one["version"] in one["purl"]
        assert one["licenses"]
        (digest,) = one["hashes"]
        assert len(digest["content"]) == {"SHA-256": 64, "SHA-512": 128}[digest["alg"]]
        if digest["alg"] == "SHA-256":
            assert f"sha256:{digest['content']}" in LOCK


@pytest.mark.parametrize(
    ("licence", "may"),
    [
        ("MIT", True),
        ("LGPL-2.1-or-later", True),
        ("GNU Lesser General Public License v3", True),
        ("BSL-1.0", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("AGPL-3.0-or-later", False),
        ("GNU Affero General Public License v3", False),
        ("BUSL-1.1", False),
        ("BSL-1.1", False),
        ("MIT AND GPL-2.0-only", False),
    ],
)
def test_a_part_that_may_not_be_shipped_ends_the_build(licence: str, may: bool) -> None:
    asked = f"import parts; parts._may_ship('a-part', {licence!r})"
    folder = ROOT / "packaging/deb"
    done = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", asked], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is may
    assert may or f"a-part has the licence {licence}" in done.stderr


@pytest.mark.slow
def test_build_again_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """In another folder, at another time; compared byte for byte."""
    members = subprocess.run(["ar", "t", package], capture_output=True, text=True, check=True).stdout
    again = build(tmp_path, *(["--fast"] if "zst" in members else []))
    assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(package.read_bytes()).hexdigest()


def test_lintian_has_nothing_to_say_that_is_not_overridden_with_a_reason(package: Path) -> None:
    members = subprocess.run(["ar", "t", package], capture_output=True, text=True, check=True).stdout
    # bookworm's lintian does not know zstd, which only the quick build uses
    quick = ["--suppress-tags", "malformed-deb-archive"] if "zst" in members else []
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--display-info", *quick, package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    told = [line for line in done.stdout.splitlines() if not line.startswith("I:")]
    assert done.returncode == 0, told
    assert "unused-override" not in done.stdout
    overrides = (ROOT / "packaging/deb/debian/falaj.lintian-overrides").read_text()
    assert not re.search(r"(\A|\n\n)falaj:", overrides), "each override has its reason above it"
