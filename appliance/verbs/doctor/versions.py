"""Versions: of the program, of Python and of the libraries; then and now."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import appliance
from appliance.config import Config
from appliance.home import Home
from appliance.registry import deployments, models
from appliance.verbs.check import Check

_RUN_BY = ("onnxruntime", "openvino")  # what computes a model's answers
_REINSTALL = "Install Falaj again; the data directory stays as it is."


def check_program(settings: Config) -> Check:
    """The environment is whole, and made for the Python that runs."""
    python = ".".join(map(str, sys.version_info[:3]))
    built = _built_for(Path(sys.prefix))
    if built and built.split(".")[:2] != python.split(".")[:2]:
        told = f"Falaj was installed for Python {built}, and the system now has {python}"
        return Check("program", False, told, _REINSTALL)
    missing = _missing()
    if missing:
        return Check("program", False, f"libraries are missing: {', '.join(missing)}", _REINSTALL)
    libraries = ", ".join(f"{name} {version(name)}" for name in (*_RUN_BY, "lightgbm"))
    return Check("program", True, f"Falaj {appliance.__version__}, Python {python}, {libraries}")


def check_models(home: Home) -> Check:
    """Models in use that were made with another library than the one that computes them now.

    That does no harm by itself: each was compared with its proof when it was loaded.
    """
    then = {}
    for deployment in deployments.serving(home.registry):
        found = models.find_version(home.registry, deployment.model, deployment.version)
        made = models.find_run(home.registry, found.run).environment
        changed = [
            f"{name} {made[name]} -> {version(name)}"
            for name in _RUN_BY
            if made.get(name, version(name)) != version(name)
        ]
        if changed:
            then[found.reference] = ", ".join(changed)
    if not then:
        return Check("models", True, "every model in use was made with the versions that run it")
    told = "; ".join(f"{name} ({what})" for name, what in sorted(then.items()))
    return Check("models", True, f"made with other versions: {told}", "Train them anew when there is time.")


def _built_for(prefix: Path) -> str:
    """The Python that a virtual environment was made with; empty outside of one."""
    file = prefix / "pyvenv.cfg"
    found = (
        re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+\S*)", file.read_text(), re.MULTILINE)
        if file.exists()
        else None
    )
    return found[1] if found else ""


def _missing() -> list[str]:
    """The libraries that Falaj asks for and that are not installed."""
    found = []
    try:
        asked = requires("falaj") or []
    except PackageNotFoundError:  # run from a folder that nothing was installed from
        return []
    for line in asked:
        name, _, condition = line.partition(";")
        name = re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]
        if "extra" in condition:
            continue
        try:
            version(name)
        except PackageNotFoundError:
            found.append(name)
    return found
