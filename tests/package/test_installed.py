"""The package installed on a Debian that has no network: does it work, is it shut in, does it leave again?"""

from __future__ import annotations

import json
import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.package.chroot import Chroot
from tests.package.test_contents import IN_IT, plain

UNITS = "/usr/lib/systemd/system"
# exposure at most, in tenths as systemd-analyze counts it: 0 is best
EXPOSURE = {
    "falaj-admin": 15,
    "falaj-inference": 15,
    "falaj-worker": 20,
    "falaj-egress": 20,
    "falaj-prepare": 20,
    "falaj-keys": 20,
    "falaj-welcome": 20,
}
# The owner's first day, on the account that the services use; `falaj run` stands for the units.
FIRST_DAY = r"""
set -e
cd /tmp
python3 - > customers.csv <<'END'
import random
random.seed(0)
print("tenure,contract,monthly,left")
for _ in range(600):
    tenure, monthly = random.randint(1, 72), round(random.uniform(18, 120), 2)
    contract = random.choice(["Month-to-month", "One year", "Two year"])
    risk = 2 * (contract == "Month-to-month") + monthly / 60 - tenure / 24
    print(tenure, contract, monthly, "yes" if random.gauss(risk, 1) > 1 else "no", sep=",")
END
systemd-tmpfiles --create falaj.conf
as_falaj() { setpriv --reuid falaj --regid falaj --init-groups "$@"; }
as_falaj /usr/lib/falaj/start prepare
# root looks in while nothing runs
falaj setup-code >/dev/null
falaj doctor >/dev/null || true
as_falaj /usr/bin/falaj run >/tmp/log 2>&1 &
for _ in $(seq 600); do
    falaj status --json 2>/dev/null | grep -q '^{"ready": true' && break
    sleep 0.2
done
falaj dataset add customers customers.csv --json
falaj train churn --dataset customers --target left --budget 20s --json
falaj deploy churn --json
falaj predict churn --row '{"tenure": 3, "contract": "Month-to-month", "monthly": 95.5}' --json
find /var/lib/falaj /run/falaj ! -user falaj
find /usr/lib/falaj -newer /tmp/customers.csv
kill $! && wait $! || true
"""


def test_every_part_of_the_lock_is_imported_from_the_package(installed: Chroot) -> None:
    """Every module at the top of every distribution, as its wheel's RECORD lists them."""
    names = set()
    for one in distributions(path=[str(path) for path in ROOT.glob(".venv/lib/python3.*/site-packages")]):
        if plain(one.name) in IN_IT:
            found = {name for file in one.files or [] if (name := _module(file.parts))}
            assert found, one.name
            names |= found
    program = (
        f"import importlib\nfor name in {sorted(names)!r}: print(importlib.import_module(name).__name__)"
    )
    said = installed.run("/usr/lib/falaj/venv/bin/python3", "-W", "ignore", "-c", program)
    assert len(said.split()) == len(names) >= len(IN_IT)


def _module(parts: tuple[str, ...]) -> str:
    """`flask` for flask/__init__.py, `google.protobuf` for what has no module above it."""
    if parts[-1] == "__init__.py" and len(parts) == 2:
        return parts[0]
    if len(parts) == 3 and parts[0] == "google" and parts[-1] == "__init__.py":
        return ".".join(parts[:2])
    single = re.fullmatch(r"(\w+)(\.[\w-]+\.so|\.py)", parts[0]) if len(parts) == 1 else None
    return single[1] if single else ""


def test_a_table_becomes_a_model_that_answers(installed: Chroot, tmp_path: Path) -> None:
    made = installed.copy(tmp_path / "root")
    said = made.run("sh", "-c", FIRST_DAY, timeout=600).splitlines()
    added, trained, deployed, predicted, *left = said
    assert json.loads(added)["rows"] == 600
    assert json.loads(trained)["gate"]["verdict"] in ("pass", "warn"), trained
    assert json.loads(deployed)["dropped"] == 0
    assert json.loads(predicted)["predictions"][0]["label"] in ("yes", "no")
    assert not left, "what root did left its own files in the home, or something was written beside the code"


def test_modules_come_from_the_package_wherever_somebody_stands(installed: Chroot, tmp_path: Path) -> None:
    """`sudo falaj` in a folder that somebody else prepared would otherwise run that one's code as root."""
    made = installed.copy(tmp_path / "root")
    trap = made.root / "srv/trap"
    (trap / "appliance").mkdir(parents=True)
    (trap / "appliance/__init__.py").write_text("raise SystemExit('caught')")
    (trap / "click.py").write_text("raise SystemExit('caught')")
    inside = "cd /srv/trap && PYTHONPATH=/srv/trap {}"
    assert "falaj, version" in made.run("sh", "-c", inside.format("falaj --version"))
    assert "caught" not in made.tried("sh", "-c", inside.format("/usr/lib/falaj/start x")).stderr
    python = "/usr/lib/falaj/venv/bin/python3 -m appliance.cli --version"
    assert "caught" in made.tried("sh", "-c", inside.format(python)).stderr, "the trap works"


def test_another_account_is_told_to_use_sudo(installed: Chroot) -> None:
    ask = ["setpriv", "--reuid", "nobody", "--clear-groups", "falaj"]
    refused = installed.tried(*ask, "status")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[1].strip() == "Use: sudo falaj status"
    assert installed.run(*ask, "status", "--help").startswith("Usage: falaj status")


def test_systemd_has_nothing_to_say_about_the_units(installed: Chroot) -> None:
    units = [
        path.name
        for kind in ("service", "socket", "slice", "target")
        for path in (installed.root / UNITS[1:]).glob(f"falaj*.{kind}")
    ]
    assert len(units) >= 12
    done = installed.tried("systemd-analyze", "verify", "--man=no", *units)
    assert done.returncode == 0
    assert not done.stderr + done.stdout


def test_what_the_units_tell_to_read_is_there(installed: Chroot) -> None:
    told = [path.read_text() for path in (installed.root / UNITS[1:]).glob("falaj*.*") if path.is_file()]
    found = set(
        re.findall(r"(?:man|file):\S+", " ".join(re.findall(r"^Documentation=(.*)$", "\n".join(told), re.M)))
    )
    assert "man:falaj(1)" in found
    for one in found:
        page = re.sub(r"man:(.*)\((\d)\)", r"/usr/share/man/man\2/\1.\2.gz", one).removeprefix("file://")
        assert (installed.root / page[1:]).is_file(), one


@pytest.mark.parametrize("unit", EXPOSURE)
def test_a_unit_is_shut_in(installed: Chroot, unit: str) -> None:
    analysed = installed.tried(*_exposure(unit, EXPOSURE[unit]))
    print(analysed.stdout.strip().splitlines()[-1])
    assert analysed.returncode == 0, analysed.stdout


def test_without_its_sandbox_a_unit_is_not(installed: Chroot, tmp_path: Path) -> None:
    """The teeth of the test above."""
    made = installed.copy(tmp_path / "root")
    units = made.root / UNITS[1:]
    for path in units.glob("falaj-.service.d/*.conf"):
        path.unlink()
    admin = units / "falaj-admin.service"
    kept = re.sub(
        r"^(Private|Restrict|Capability|Memory|Protect|SystemCall)\w+=.*\n",
        "",
        admin.read_text(),
        flags=re.MULTILINE,
    )
    admin.write_text(kept)
    assert made.tried(*_exposure("falaj-admin", EXPOSURE["falaj-admin"])).returncode == 1


def _exposure(unit: str, most: int) -> list[str]:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}"]
    return [*command, f"{unit}.service"]


def test_it_comes_and_goes(installed: Chroot, tmp_path: Path) -> None:
    """Installed, installed again over itself, removed, purged: what stays is what is said to stay."""
    made = installed.copy(tmp_path / "root")
    (deb,) = (made.root / "srv/bundle").glob("falaj_*.deb")
    inside = f"/{deb.relative_to(made.root)}"
    code = made.root / "usr/lib/falaj"
    home, settings = made.root / "var/lib/falaj", made.root / "etc/falaj"
    assert made.run("systemctl", "is-enabled", "falaj.target").strip() == "enabled"
    before = made.files()
    (home / "registry.db").write_text("what it has learnt")
    settings.mkdir()
    (settings / "falaj.toml").write_text("[admin]\n")
    drop_in = made.root / "etc/systemd/system/falaj-admin.socket.d"
    drop_in.mkdir()

    made.run("dpkg", "-i", inside)
    assert (home / "registry.db").read_text() == "what it has learnt"
    made.run("systemctl", "disable", "falaj.target")
    made.run("dpkg", "-i", inside)
    assert made.tried("systemctl", "is-enabled", "falaj.target").stdout.strip() == "disabled", (
        "as the owner left it"
    )

    (code / "previous").mkdir(exist_ok=True)
    made.run("dpkg", "--remove", "falaj")
    assert not code.exists()
    assert (home / "registry.db").exists()
    assert (settings / "falaj.toml").exists()
    made.run("dpkg", "-i", inside)
    made.run("systemctl", "enable", "falaj.target")
    assert (home / "registry.db").read_text() == "what it has learnt"

    made.run("dpkg", "--purge", "falaj")
    assert not home.exists()
    assert not settings.exists()
    assert not drop_in.exists()
    left = {
        path: told
        for path, told in made.files().items()
        if re.search(r"falaj", path) and "srv/bundle" not in path
    }
    assert not left
    changed = {path for path, told in made.files().items() if before.get(path) != told}
    assert not changed, "nothing else was touched"
    assert made.run("id", "-u", "falaj"), "the account stays: its number must not become somebody else's"
