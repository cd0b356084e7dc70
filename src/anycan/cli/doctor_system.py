"""``anycan doctor``: the system that it runs on, and what of Python is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_modules import version_of
from anycan.cli.doctor_place import Place, container_of, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.cli.doctor_machine import Machine

# What a kernel has, from which version on.
_SINCE: Final = {
    "CAN FD": (3, 6),
    "joined filters": (4, 1),
    "J1939": (5, 4),
    "ISO-TP": (5, 10),
    "CAN XL": (6, 1),
    "a greater ISO-TP max_pdu_size": (6, 3),
    "virtual CAN networks of CAN XL (VCID)": (6, 9),
}
_OPTIONAL: Final = {"uvloop": "a faster loop for asyncio", "trio": "another loop than asyncio's"}


def check_system(machine: Machine) -> Iterator[Finding]:
    """Tell which system this is, and what its kernel is too old for."""
    system = f"{machine.system} on {machine.architecture}"
    if not machine.is_linux:
        yield Finding(
            "system",
            Verdict.WARNING,
            f"{system}: SocketCAN is part of Linux; a user network (anycan.UserNetwork) runs here",
        )
        return
    yield Finding("system", Verdict.OK, system)
    yield _kernel(machine.release)
    yield from _surroundings(machine)


def _kernel(release: str) -> Finding:
    version = version_of(release)
    if version == (0, 0):
        return Finding("kernel", Verdict.WARNING, f"{release}: which version that is, is not known")
    lacks = [
        f"{what} ({major}.{minor})"
        for what, (major, minor) in _SINCE.items()
        if version < (major, minor)
    ]
    if not lacks:
        return Finding("kernel", Verdict.OK, release)
    return Finding("kernel", Verdict.WARNING, f"{release}: too old for {', '.join(lacks)}")


def _surroundings(machine: Machine) -> Iterator[Finding]:
    match place_of(machine):
        case Place.CONTAINER:
            yield Finding(
                "container",
                Verdict.OK,
                f"{container_of(machine)}: modules are loaded, and limits set, on its host; an"
                " interface has to be moved into its network namespace",
            )
        case Place.WSL:
            yield Finding("WSL", Verdict.OK, "the kernel is Microsoft's; USB comes by usbipd")


def check_python(machine: Machine) -> Iterator[Finding]:
    """Tell which Python this is, and which of the packages there are that anycan can use."""
    yield Finding("Python", Verdict.OK, machine.python)
    yield Finding("anycan", Verdict.OK, machine.version_of("anycan") or "not installed, a checkout")
    for package, purpose in _OPTIONAL.items():
        found = machine.version_of(package) or f"not installed, and not needed: {purpose}"
        yield Finding(package, Verdict.OK, found)
