"""Which modules of the kernel there are, and how to get those that there are not."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

import attrs

from anycan.cli.doctor_place import Place, distribution_of, installing, place_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from anycan.cli.doctor_machine import Machine

_WINDOWS: Final = "  # in Windows, in PowerShell"
_FILE: Final = re.compile(r"^(\S*?([^/\s]+)\.ko(?:\.\w+)?)(?::|$)", re.MULTILINE)
_DEBIAN_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class ModuleState(enum.Enum):
    """What there is of a module."""

    LOADED = "loaded"
    BUILT_IN = "built into the kernel"
    AVAILABLE = "not loaded"
    ABSENT = "absent"
    UNKNOWN = "not loaded; whether there is one cannot be seen from here"

    @property
    def in_use(self) -> bool:
        """Whether its functions are there now."""
        return self in {ModuleState.LOADED, ModuleState.BUILT_IN}


@attrs.frozen
class Needed:
    """A module that something needs.

    Attributes:
        module: Its name.
        option: The kernel's configuration option that makes it.
        since: The version of Linux that it came with.
    """

    module: str
    option: str
    since: tuple[int, int]


@attrs.frozen
class Modules:
    """The kernel's modules.

    Attributes:
        loaded: The names of those that are loaded, with ``_`` for ``-``, like all names here.
        built_in: Those that are in the kernel, and where their source is.
        available: Those that can be loaded, and where they are; None: that cannot be seen.
        options: The configuration options that the kernel was built with; None: likewise.
    """

    loaded: Collection[str]
    built_in: dict[str, str]
    available: dict[str, str] | None
    options: frozenset[str] | None

    @classmethod
    def of(cls, machine: Machine) -> Modules:
        """Look at a machine's."""
        directory = f"/lib/modules/{machine.release}"
        dependencies = machine.read(f"{directory}/modules.dep")
        configuration = machine.read("/proc/config.gz") or machine.read(
            f"/boot/config-{machine.release}"
        )
        return cls(
            loaded=frozenset(machine.names_in("/sys/module")),
            built_in=_paths(machine.read(f"{directory}/modules.builtin") or ""),
            available=None if dependencies is None else _paths(dependencies),
            options=None
            if configuration is None
            else frozenset(re.findall(r"^(CONFIG_\w+)=[ym]", configuration, re.MULTILINE)),
        )

    def state_of(self, needed: Needed) -> ModuleState:
        """Tell what there is of a module."""
        name = needed.module.replace("-", "_")
        if name in self.built_in:
            return ModuleState.BUILT_IN
        if name in self.loaded:
            return ModuleState.LOADED
        if self.available is not None:
            return ModuleState.AVAILABLE if name in self.available else ModuleState.ABSENT
        if self.options is not None and needed.option not in self.options:
            return ModuleState.ABSENT
        return ModuleState.UNKNOWN


def _paths(text: str) -> dict[str, str]:
    return {name.replace("-", "_"): path for path, name in _FILE.findall(text)}


def version_of(release: str) -> tuple[int, int]:
    """Give the version in a kernel's release; (0, 0): there is none in it."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def loading(machine: Machine, module: str) -> str:
    """Give the command that loads a module, now and whenever the machine starts."""
    command = f"sudo modprobe {module} && echo {module} | sudo tee -a /etc/modules-load.d/can.conf"
    return f"{command}  # on the host" if place_of(machine) is Place.CONTAINER else command


def remedy(machine: Machine, modules: Modules, needed: Needed) -> tuple[str, str | None]:
    """Tell what is with a module that is not in use, and give the command that mends that."""
    state = modules.state_of(needed)
    if state is ModuleState.AVAILABLE:
        return f"its module {needed.module} is not loaded", loading(machine, needed.module)
    version = version_of(machine.release)
    if (0, 0) < version < needed.since:
        came = f"{needed.since[0]}.{needed.since[1]}"
        return f"it came with Linux {came}: this kernel is older", None
    return _absent(machine, modules, needed)


def _absent(machine: Machine, modules: Modules, needed: Needed) -> tuple[str, str | None]:
    """Tell the same of one that is not there at all, as far as can be seen."""
    place = place_of(machine)
    never_built = modules.options is not None and needed.option not in modules.options
    if place is Place.WSL:
        return _absent_from_wsl(machine, needed)
    if place is Place.CONTAINER and never_built:
        return f"the host's kernel was built without it ({needed.option})", None
    if place is Place.CONTAINER:
        return (
            f"the kernel is the host's, and {needed.module} has to be loaded there",
            loading(machine, needed.module),
        )
    others = set(machine.names_in("/lib/modules")) - {machine.release}
    if modules.available is None and others and not never_built:
        return "the running kernel's modules are gone, as after an update: reboot", "sudo reboot"
    package, command = _package(machine)
    if package is not None:
        return f"there is no module {needed.module}: package {package} has it", command
    return f"this kernel has no module {needed.module} ({needed.option}): use another kernel", None


def _absent_from_wsl(machine: Machine, needed: Needed) -> tuple[str, str]:
    if machine.release.endswith("-Microsoft"):
        name = machine.environment.get("WSL_DISTRO_NAME", "DISTRIBUTION")
        return "WSL 1 has no kernel of Linux: use WSL 2", f"wsl --set-version {name} 2{_WINDOWS}"
    found = (
        f"this kernel of WSL has no module {needed.module}: newer ones may; else build one with"
        f" {needed.option}, and name it in .wslconfig (kernel=)"
    )
    return found, f"wsl --update; wsl --shutdown{_WINDOWS}"


def _package(machine: Machine) -> tuple[str | None, str | None]:
    """Give the package that has what a distribution leaves out, and the command for it."""
    distribution = distribution_of(machine)
    if "ubuntu" in distribution:
        name = f"linux-modules-extra-{machine.release}"
    elif distribution & {"fedora", "rhel"}:
        name = f"kernel-modules-extra-{machine.release}"
    elif "debian" in distribution and "-cloud-" in machine.release:
        architecture = _DEBIAN_ARCHITECTURES.get(machine.architecture, machine.architecture)
        name = f"linux-image-{architecture}"
        command = installing(machine, {"apt": name})
        return f"{name}, the kernel that is not for clouds, to be started then,", command
    else:
        return None, None
    return name, installing(machine, {"apt": name, "dnf": name})
