"""Where something was measured: kernel, processor, versions."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from suite.can import processors

_PACKAGES = ("anycan", "anyio", "attrs", "uvloop", "trio", "python-can", "can-isotp")


def describe_machine() -> dict[str, str]:
    """Give what a reader of the results has to know of the machine."""
    found = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(len(processors())),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    for line in lines:
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_text(machine: dict[str, str]) -> str:
    """Give it as one paragraph."""
    packages = ", ".join(
        f"{package} {machine[package]}"
        for package in _PACKAGES
        if machine.get(package, "not installed") != "not installed"
    )
    return (
        f"{machine['system']}, {machine['cores']} cores of {machine['processor']},"
        f" {machine['python']}; {packages}."
    )
