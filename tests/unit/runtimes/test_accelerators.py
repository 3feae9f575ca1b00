"""Finding graphics cards in the kernel's own trees, and what a unit is given for them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from appliance.cli.gpu import drop_in
from appliance.runtimes.accelerators import Accelerator, found


def device(root: Path, address: str, vendor: str, code: str = "0x030000", driver: str = "") -> None:
    """One PCI device as sysfs shows it."""
    folder = root / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    for name, content in {"vendor": vendor, "device": "0x1234", "class": code}.items():
        (folder / name).write_text(f"{content}\n")
    if driver:
        (root / "sys/bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(root / "sys/bus/pci/drivers" / driver)


def look(root: Path) -> list[Accelerator]:
    return found(root / "sys", root / "proc")


def test_other_devices_are_none(tmp_path: Path) -> None:
    device(tmp_path, "0000:00:01.0", "0x8086", code="0x020000", driver="e1000")
    assert look(tmp_path) == []
    assert look(tmp_path / "nowhere") == []


def test_a_card_with_its_driver_is_usable(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0", "0x10de", code="0x030200", driver="nvidia")
    model = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    model.parent.mkdir(parents=True)
    model.write_text("Model: \t\t NVIDIA L4\nIRQ:   \t\t 42\n")
    device(tmp_path, "0000:00:02.0", "0x8086", driver="i915")
    device(tmp_path, "0000:00:0b.0", "0x8086", code="0x120000", driver="intel_vpu")
    cards = look(tmp_path)
    assert [(one.name, one.kind, one.runtimes, one.fix) for one in cards] == [
        ("Intel 1234", "gpu", ("openvino",), ""),
        ("Intel 1234", "npu", ("openvino",), ""),
        ("NVIDIA L4", "gpu", ("onnxruntime",), ""),
    ]


@pytest.mark.parametrize(
    ("vendor", "driver", "told"),
    [
        ("0x10de", "", "no driver for it"),
        ("0x10de", "nouveau", "'nouveau' can't compute"),
        ("0x1002", "amdgpu", "no runtime for devices by AMD"),
        ("0x1234", "bochs-drm", "no runtime for devices by another maker"),
    ],
)
def test_what_keeps_a_device_from_being_used_is_told(
    tmp_path: Path, vendor: str, driver: str, told: str
) -> None:
    device(tmp_path, "0000:01:00.0", vendor, driver=driver)
    assert told in look(tmp_path)[0].fix


def test_a_unit_is_given_the_devices_of_its_drivers_alone(tmp_path: Path) -> None:
    device(tmp_path, "0000:00:02.0", "0x8086", driver="i915")
    text = drop_in(look(tmp_path))
    assert "DeviceAllow=char-drm rw" in text
    assert "nvidia" not in text
    assert "OVERLAY" not in text
    device(tmp_path, "0000:01:00.0", "0x10de", driver="nvidia")
    both = drop_in(look(tmp_path))
    assert "DeviceAllow=char-nvidia-uvm rw" in both
    assert "FALAJ_OVERLAY=/usr/lib/falaj-gpu/site-packages" in both


def test_systemd_takes_what_a_unit_is_given(tmp_path: Path) -> None:
    device(tmp_path, "0000:01:00.0", "0x10de", driver="nvidia")
    unit = tmp_path / "x.service"
    unit.write_text(f"[Unit]\nDescription=x\n{drop_in(look(tmp_path))}Type=oneshot\nExecStart=/bin/true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "x.service" in line]) == (0, [])
