"""Where a program runs, as far as what mends something depends on it."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.cli.doctor_machine import Machine

_MANAGERS: Final = {
    "apt": ({"debian", "ubuntu"}, "sudo apt install"),
    "dnf": ({"fedora", "rhel"}, "sudo dnf install"),
    "pacman": ({"arch"}, "sudo pacman -S"),
    "zypper": ({"suse"}, "sudo zypper install"),
    "apk": ({"alpine"}, "sudo apk add"),
}


class Place(enum.Enum):
    """Whose kernel it is."""

    MACHINE = enum.auto()  # one's own
    CONTAINER = enum.auto()  # the host's
    WSL = enum.auto()  # Microsoft's
    ELSEWHERE = enum.auto()  # none of Linux


def place_of(machine: Machine) -> Place:
    """Tell where a program runs."""
    if not machine.is_linux:
        return Place.ELSEWHERE
    if container_of(machine) is not None:
        return Place.CONTAINER
    if "microsoft" in (machine.read("/proc/version") or "").lower():
        return Place.WSL
    return Place.MACHINE


def container_of(machine: Machine) -> str | None:
    """Give what kind of container this is; None: none that is known."""
    if ".containerenv" in machine.names_in("/run"):
        return "Podman"
    if ".dockerenv" in machine.names_in("/"):
        return "Docker"
    kind = machine.read("/run/systemd/container")
    if kind is not None:
        return kind.strip() or "unknown"
    return "Kubernetes" if "KUBERNETES_SERVICE_HOST" in machine.environment else None


def distribution_of(machine: Machine) -> frozenset[str]:
    """Give the names of the distribution and of those that it is like: ``ubuntu``, ``debian``."""
    text = machine.read("/etc/os-release") or ""
    values = re.findall(r"^ID(?:_LIKE)?=[\"']?([^\"'\n]*)", text, re.MULTILINE)
    return frozenset(" ".join(values).lower().split())


def installing(machine: Machine, packages: Mapping[str, str]) -> str | None:
    """Give the command that installs a package; None: it is not known.

    Args:
        machine: Where.
        packages: What it is called, by the name of the package manager.
    """
    distribution = distribution_of(machine)
    for manager, (names, command) in _MANAGERS.items():
        if names & distribution and manager in packages:
            return f"{command} {packages[manager]}"
    return None
