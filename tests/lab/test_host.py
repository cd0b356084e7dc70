"""Where kernel tests run, and what a machine is told it lacks."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from rig import host

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine of no kind at all; what it has is put below this path."""
    for name in (host.GUEST_VARIABLE, host.KERNEL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda name, path: f"{path}/{name}")
    monkeypatch.setattr(host, "find_kernel", lambda _wanted: "6.12.1-amd64")
    return tmp_path


def add_kernel(root: Path, release: str, *, image: bool = True, can: bool = True) -> None:
    (root / "boot").mkdir(exist_ok=True)
    drivers = root / "modules" / release / "kernel"
    (drivers / "net/can").mkdir(parents=True)
    (drivers / "drivers/net/can").mkdir(parents=True)
    if image:
        (root / "boot" / f"vmlinuz-{release}").touch()
    if can:
        (drivers / "net/can/can-raw.ko.xz").touch()
        (drivers / "drivers/net/can/vcan.ko").touch()


def find(root: Path, wanted: str = "") -> str | None:
    return host.find_kernel(wanted, root / "modules", root / "boot")


def test_the_newest_kernel_is_taken(tmp_path: Path) -> None:
    for release in ("6.1.0-18-amd64", "6.12.9+deb12-amd64", "6.12.117+deb12-amd64", "5.10-amd64"):
        add_kernel(tmp_path, release)
    assert find(tmp_path) == "6.12.117+deb12-amd64"
    assert find(tmp_path, "6.1.") == "6.1.0-18-amd64"
    assert find(tmp_path, "7") is None


def test_a_kernel_without_image_or_can_is_none(tmp_path: Path) -> None:
    add_kernel(tmp_path, "6.1-amd64", image=False)
    add_kernel(tmp_path, "6.2-cloud-amd64", can=False)
    add_kernel(tmp_path, "6.3-custom")
    assert find(tmp_path) is None
    assert find(tmp_path, "6.3") == "6.3-custom"


def test_without_modules_there_is_no_kernel(tmp_path: Path) -> None:
    assert find(tmp_path) is None


@pytest.mark.usefixtures("install")
class TestProblems:
    def test_none(self) -> None:
        assert host.lab_problem() is None

    def test_another_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        assert host.lab_problem() == "it needs Linux on x86-64, not Darwin on x86_64"

    def test_a_missing_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        present = {"busybox", "modprobe", "ip"}
        monkeypatch.setattr(shutil, "which", lambda name, path: (name in present and path) or None)
        assert host.lab_problem() == (
            "qemu-system-x86_64, udevadm missing; as root: apt-get install -y"
            " --no-install-recommends qemu-system-x86 kmod busybox-static udev iproute2 can-utils"
            " linux-image-6.12-amd64"
        )

    def test_a_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
        assert "pip install virtme-ng" in (host.lab_problem() or "")

    def test_a_missing_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "find_kernel", lambda _wanted: None)
        assert "no kernel with CAN modules" in (host.lab_problem() or "")
        monkeypatch.setenv(host.KERNEL_VARIABLE, "6.1.")
        assert "no kernel 6.1. with CAN modules" in (host.lab_problem() or "")


@pytest.mark.usefixtures("install")
class TestVerdict:
    @pytest.fixture(autouse=True)
    def no_family(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(socket, "AF_CAN", raising=False)

    def test_the_lab(self) -> None:
        assert host.judge().place == "lab"

    def test_the_inside_of_the_lab(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(host.GUEST_VARIABLE, "1")
        assert host.judge().place == "direct"

    def test_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "find_kernel", lambda _wanted: None)
        verdict = host.judge()
        assert verdict.place == "nowhere"
        assert "this Python has no AF_CAN" in verdict.reason
        assert "apt-get install" in verdict.reason

    def test_this_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "_direct_problem", lambda: None)
        assert host.judge().place == "direct"

    def test_another_kernel_than_this(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "_direct_problem", lambda: None)
        monkeypatch.setenv(host.KERNEL_VARIABLE, "6.1.")
        assert host.judge().place == "lab"
