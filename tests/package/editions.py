"""Other versions of a built package, for tests of upgrades: unpacked, changed, packed again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

MIGRATION = """

@registry()
def m900_of_a_later_version(db: Database) -> None:
    db.execute("CREATE TABLE later (x INTEGER) STRICT")
"""
MIGRATIONS = "db/migrations/registry.py"
GOOD = {MIGRATIONS: MIGRATION}
BAD = {MIGRATIONS: MIGRATION + """    db.execute("DROP TABLE a_table_that_nobody_has")\n"""}
MUTE = GOOD | {
    "daemon/roles.py": """

def inference(*told: object) -> None:
    raise RuntimeError("this version does not answer")
"""
}


def edition(package: Path, folder: Path, version: str, more: dict[str, str]) -> Path:
    """The package as another version; `more`: what is added to which of its files."""
    root = folder / version
    _run("dpkg-deb", "--raw-extract", str(package), str(root))
    (code,) = root.glob("usr/lib/falaj/venv/lib/python3.*/site-packages/appliance")
    _change(root / "DEBIAN/control", lambda text: text.replace("\nVersion: 0.1.0", f"\nVersion: {version}"))
    _change(code / "__init__.py", lambda text: text.replace('"0.1.0"', f'"{version}"'))
    for name, text in more.items():
        _change(code / name, lambda before, text=text: before + text)  # type: ignore[misc]
    compiling = ("/usr/bin/python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-f")
    for name in ("__init__.py", *more):
        _run(*compiling, str(code / name))
    made = folder / f"falaj_{version}.deb"
    _run("dpkg-deb", "--build", "-Zzstd", "-z1", str(root), str(made))
    _run("rm", "-rf", str(root))
    return made


def _change(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    after = change(before)
    path.unlink()  # it may be a hard link
    path.write_text(after)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=300)
