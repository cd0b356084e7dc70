"""``anycan doctor``: programs beside anycan, and the network that it is told to use."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_place import installing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.cli.doctor_machine import Machine

_CAN_UTILS: Final = ("candump", "cansend", "cangen")
_CAN_UTILS_PACKAGES: Final = dict.fromkeys(("apt", "dnf", "apk"), "can-utils")
_IP_PACKAGES: Final = {
    **dict.fromkeys(("apt", "pacman", "zypper", "apk"), "iproute2"),
    "dnf": "iproute",
}


def check_programs(machine: Machine) -> Iterator[Finding]:
    """Tell which programs there are that go with CAN; anycan needs none of them."""
    if not machine.is_linux:
        return
    missing = [name for name in _CAN_UTILS if machine.find_program(name) is None]
    if missing:
        found = f"no {', '.join(missing)}: package can-utils; anycan dump, send and gen do the same"
        command = installing(machine, _CAN_UTILS_PACKAGES)
        yield Finding("can-utils", Verdict.WARNING, found, command)
    else:
        yield Finding("can-utils", Verdict.OK, ", ".join(_CAN_UTILS))
    place = machine.find_program("ip")
    if place is None:
        found = "not there: package iproute2, with which commands below set up interfaces"
        yield Finding("ip", Verdict.WARNING, found, installing(machine, _IP_PACKAGES))
    else:
        yield Finding("ip", Verdict.OK, place)


def check_network(machine: Machine) -> Iterator[Finding]:
    """Tell which network programs use that name none themselves."""
    name = "ANYCAN_NETWORK"
    network = machine.environment.get(name)
    if not network:
        yield Finding(name, Verdict.OK, "not set: programs use the kernel's network")
        return
    scheme, _, rest = network.partition(":")
    if network == "kernel":
        yield Finding(name, Verdict.OK, "kernel, which is what is used without it")
    elif scheme == "user" and rest:
        found = (
            f"{network}: programs use an anycan.UserNetwork(name={rest!r}), which each has to open"
            " itself; the commands of anycan have none of their own"
        )
        yield Finding(name, Verdict.WARNING, found, f"unset {name}")
    elif scheme == "unix" and rest:
        failure = machine.connect(rest)
        if failure:
            command = f"anycan network serve --path {shlex.quote(rest)}"
            yield Finding(name, Verdict.MISSING, f"{network}: {failure}", command)
        else:
            yield Finding(name, Verdict.OK, f"{network}: a network is served there")
    else:
        found = f"{network}: there is no such network; there are kernel, unix:PATH and user:NAME"
        yield Finding(name, Verdict.MISSING, found, f"unset {name}")
