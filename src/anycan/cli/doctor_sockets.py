"""``anycan doctor``: which sockets the kernel gives, and which modules stand beside them."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

import attrs

from anycan.cli.doctor_finding import RAW_SOCKETS, Finding, Verdict
from anycan.cli.doctor_modules import ModuleState, Needed, loading, remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.cli.doctor_machine import Machine
    from anycan.cli.doctor_modules import Modules

_ABSENT: Final = {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}
_FORBIDDEN: Final = {errno.EPERM, errno.EACCES}
_SANDBOX: Final = (
    "a sandbox or a security policy forbids it (seccomp, SELinux; in a unit of systemd"
    " RestrictAddressFamilies=)"
)


@attrs.frozen
class _Protocol:
    name: str
    kind: int
    number: int  # linux/can.h
    needed: Needed


_PROTOCOLS: Final = (
    _Protocol(RAW_SOCKETS, socket.SOCK_RAW, 1, Needed("can-raw", "CONFIG_CAN_RAW", (2, 6))),
    _Protocol(
        "broadcast manager", socket.SOCK_DGRAM, 2, Needed("can-bcm", "CONFIG_CAN_BCM", (2, 6))
    ),
    _Protocol("ISO-TP", socket.SOCK_DGRAM, 6, Needed("can-isotp", "CONFIG_CAN_ISOTP", (5, 10))),
    _Protocol("J1939", socket.SOCK_DGRAM, 7, Needed("can-j1939", "CONFIG_CAN_J1939", (5, 4))),
)
_GATEWAY: Final = Needed("can-gw", "CONFIG_CAN_GW", (3, 2))
# Loaded when they are first asked for: by the kind of a link, by a line discipline.
_DEVICES: Final = {
    "virtual interfaces": Needed("vcan", "CONFIG_CAN_VCAN", (2, 6)),
    "pairs of virtual interfaces": Needed("vxcan", "CONFIG_CAN_VXCAN", (4, 12)),
    "serial adapters": Needed("slcan", "CONFIG_CAN_SLCAN", (2, 6)),
}
_NO_DRIVERS: Final = {"can_dev", "vcan", "vxcan", "slcan"}
_MOST_DRIVERS: Final = 8


def check_sockets(machine: Machine, modules: Modules) -> Iterator[Finding]:
    """Open a socket of each protocol, which loads its module on many systems."""
    if not machine.is_linux:
        yield Finding(
            RAW_SOCKETS, Verdict.MISSING, "none: this system has no PF_CAN, which is part of Linux"
        )
        return
    for protocol in _PROTOCOLS:
        number = machine.open_socket("AF_CAN", protocol.kind, protocol.number)
        yield _socket(machine, modules, protocol, number)
    number = machine.open_socket("AF_NETLINK", socket.SOCK_RAW, 0)
    if number:
        why = _SANDBOX if number in _FORBIDDEN | _ABSENT else os.strerror(number)
        found = f"none, so that interfaces can be neither listed nor configured: {why}"
        yield Finding("netlink", Verdict.MISSING, found)
    else:
        yield Finding("netlink", Verdict.OK, "for listing and configuring interfaces")


def _socket(machine: Machine, modules: Modules, protocol: _Protocol, number: int) -> Finding:
    if number == 0:
        return Finding(protocol.name, Verdict.OK, f"{protocol.needed.module} is there")
    if number in _FORBIDDEN:
        return Finding(protocol.name, Verdict.MISSING, _SANDBOX)
    if number not in _ABSENT:
        return Finding(protocol.name, Verdict.MISSING, f"opening one failed: {os.strerror(number)}")
    if modules.state_of(protocol.needed).in_use:
        found = f"{protocol.needed.module} is there, but {_SANDBOX}"
        return Finding(protocol.name, Verdict.MISSING, found)
    found, command = remedy(machine, modules, protocol.needed)
    return Finding(protocol.name, Verdict.MISSING, found, command)


def check_modules(machine: Machine, modules: Modules) -> Iterator[Finding]:
    """Tell which of the other modules of CAN there are."""
    if not machine.is_linux:
        return
    yield _gateway(machine, modules)
    for name, needed in _DEVICES.items():
        state = modules.state_of(needed)
        if state.in_use or state is ModuleState.AVAILABLE:
            by_itself = "" if state.in_use else ": it is when it is first needed"
            yield Finding(name, Verdict.OK, f"{needed.module} is {state.value}{by_itself}")
        else:
            yield _not_there(machine, modules, name, needed)
    yield _drivers(modules)


def _gateway(machine: Machine, modules: Modules) -> Finding:
    name = "forwarding in the kernel"
    state = modules.state_of(_GATEWAY)
    if state.in_use:
        return Finding(name, Verdict.OK, f"can-gw is {state.value}")
    if state is ModuleState.AVAILABLE:
        found = "can-gw is not loaded, and is not by itself: gateways do it in user space"
        return Finding(name, Verdict.WARNING, found, loading(machine, _GATEWAY.module))
    return _not_there(machine, modules, name, _GATEWAY)


def _not_there(machine: Machine, modules: Modules, name: str, needed: Needed) -> Finding:
    found, command = remedy(machine, modules, needed)
    known = modules.state_of(needed) is ModuleState.ABSENT
    return Finding(name, Verdict.MISSING if known else Verdict.WARNING, found, command)


def _drivers(modules: Modules) -> Finding:
    """Tell which drivers of controllers are in use; the system loads them with the device."""
    name = "controllers' drivers"
    paths = {**modules.built_in, **(modules.available or {})}
    drivers = {one for one, path in paths.items() if "/drivers/net/can/" in f"/{path}"}
    drivers -= _NO_DRIVERS
    used = sorted(drivers & ({*modules.loaded} | {*modules.built_in}))
    if used:
        return Finding(name, Verdict.OK, f"in use: {', '.join(used)} (of {len(drivers)})")
    if drivers:
        some = ", ".join(sorted(drivers)[:_MOST_DRIVERS])
        more = ", …" if len(drivers) > _MOST_DRIVERS else ""
        found = f"none in use; {len(drivers)} are loaded with their devices: {some}{more}"
        return Finding(name, Verdict.OK, found)
    if modules.available is None:
        return Finding(name, Verdict.WARNING, "which there are cannot be seen from here")
    return Finding(name, Verdict.WARNING, "none: this kernel has no driver of a CAN controller")
