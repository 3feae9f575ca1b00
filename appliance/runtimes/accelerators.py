"""Which graphics cards and other accelerators the kernel knows of, read from sysfs(5) and procfs alone.

No library is asked: a process that may not open a device sees the same. Whether OpenVINO has the part for a
device is seen from its files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAKERS = {"0x10de": "NVIDIA", "0x8086": "Intel", "0x1002": "AMD"}
_DISPLAYS = "0x03"  # PCI class codes: VGA, 3D and other display controllers
_PROCESSING = "0x12"  # neural processing units
_COMPUTE_DRIVERS = {
    "nvidia": ("onnxruntime",),
    "i915": ("openvino",),
    "xe": ("openvino",),
    "intel_vpu": ("openvino",),
}


@dataclass(frozen=True)
class Accelerator:
    """One device. `driver` is the kernel's, empty when none has taken it; `runtimes` could compute on it."""

    address: str
    maker: str
    kind: str
    name: str
    driver: str
    runtimes: tuple[str, ...]

    @property
    def fix(self) -> str:
        """What keeps Falaj from using it, empty when nothing does."""
        if self.maker not in ("NVIDIA", "Intel"):
            return f"Falaj has no runtime for devices by {self.maker}."
        if not self.driver:
            return f"The system has no driver for it: install the one by {self.maker}."
        if not self.runtimes:
            return f"Its driver '{self.driver}' can't compute: install the one by {self.maker}."
        if self.runtimes == ("openvino",) and not _openvino_has(self.kind):
            return f"OpenVINO is here without its part for a {self.kind.upper()}."
        return ""


def found(sysfs: Path = Path("/sys"), procfs: Path = Path("/proc")) -> list[Accelerator]:
    """All of them, by their PCI address."""
    return [
        one for folder in sorted((sysfs / "bus/pci/devices").glob("*")) for one in _device(folder, procfs)
    ]


def _device(folder: Path, procfs: Path) -> Iterator[Accelerator]:
    code = _read(folder / "class")
    if not code.startswith((_DISPLAYS, _PROCESSING)):
        return
    maker = _MAKERS.get(_read(folder / "vendor"), "another maker")
    driver = (folder / "driver").resolve().name if (folder / "driver").exists() else ""
    yield Accelerator(
        address=folder.name,
        maker=maker,
        kind="npu" if code.startswith(_PROCESSING) else "gpu",
        name=_nvidia_model(procfs, folder.name) or f"{maker} {_read(folder / 'device').removeprefix('0x')}",
        driver=driver,
        runtimes=_COMPUTE_DRIVERS.get(driver, ()),
    )


def _nvidia_model(procfs: Path, address: str) -> str:
    """The model's name as NVIDIA's driver tells it."""
    for line in _read(procfs / "driver/nvidia/gpus" / address / "information").splitlines():
        if line.startswith("Model:"):
            return line.partition(":")[2].strip()
    return ""


def _openvino_has(kind: str) -> bool:
    """Whether the library was installed with what computes on such a device; the package leaves it out."""
    spec = importlib.util.find_spec("openvino")
    folders = spec.submodule_search_locations or () if spec is not None else ()
    return any(Path(one, f"libs/libopenvino_intel_{kind}_plugin.so").exists() for one in folders)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
