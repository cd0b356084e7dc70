"""``anycan doctor``: what this process may do, and how much of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_modules import version_of
from anycan.cli.doctor_place import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.cli.doctor_machine import Machine

_CAP_NET_ADMIN: Final = 12  # linux/capability.h
_CAP_NET_RAW: Final = 13
_WHOLE: Final = ["0", "0", "4294967295"]  # the map of a namespace that has all users
_BUFFER: Final = 2 * 1024 * 1024  # what anycan asks for; the kernel doubles it
_SET_BUFFER: Final = 2 * _BUFFER
_ORDINARY_BUFFER: Final = 212_992  # what Linux has for both directions
_FILES: Final = 1024
_PDU_SIZE_SINCE: Final = (6, 3)
_SHELL: Final = (
    'sudo setpriv --reuid="$USER" --regid="$(id -g)" --init-groups --inh-caps=+net_admin'
    ' --ambient-caps=+net_admin env HOME="$HOME" PATH="$PATH" "$SHELL"'
)


def check_rights(machine: Machine) -> Iterator[Finding]:
    """Tell which capabilities are effective. Using CAN needs none."""
    if not machine.is_linux:
        return
    status = machine.read("/proc/self/status") or ""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if match is None:
        yield Finding("capabilities", Verdict.WARNING, "/proc/self/status does not tell them")
        return
    effective = int(match[1], 16)
    yield _net_admin(machine, has=bool(effective >> _CAP_NET_ADMIN & 1))
    has = "effective" if effective >> _CAP_NET_RAW & 1 else "not effective"
    yield Finding("CAP_NET_RAW", Verdict.OK, f"{has}; nothing of CAN needs it")


def _net_admin(machine: Machine, *, has: bool) -> Finding:
    name = "CAP_NET_ADMIN"
    users = (machine.read("/proc/self/uid_map") or "").split()
    if has and users and users != _WHOLE:
        return Finding(
            name,
            Verdict.OK,
            "effective in a user namespace: for interfaces in network namespaces made there, not"
            " for the machine's",
        )
    if has:
        return Finding(name, Verdict.OK, "effective: interfaces can be configured")
    found = "not effective: using CAN needs no right, but configuring interfaces and can-gw does"
    if place_of(machine) is Place.CONTAINER:
        return Finding(
            name,
            Verdict.WARNING,
            f"{found}; the container has to be started with it",
            "docker run --cap-add=NET_ADMIN IMAGE  # or podman; on the host",
        )
    return Finding(
        name, Verdict.WARNING, f"{found}; the command below opens a shell that has it", _SHELL
    )


def check_limits(machine: Machine) -> Iterator[Finding]:
    """Tell what buffers, open files, PDUs and hops are limited to."""
    if machine.is_linux:
        yield _buffer(machine, "receive buffers", "rmem_max", _BUFFER)
        yield _buffer(machine, "send buffers", "wmem_max", _ORDINARY_BUFFER)
    yield _files(machine.file_limit)
    if machine.is_linux:
        yield from _parameters(machine)


def _buffer(machine: Machine, name: str, limit: str, enough: int) -> Finding:
    size = _number(machine.read(f"/proc/sys/net/core/{limit}"))
    limit = f"net.core.{limit}"
    if size is None:
        found = f"{limit} cannot be seen from here (as in a network namespace)"
        return Finding(name, Verdict.WARNING, found)
    if size >= enough:
        return Finding(name, Verdict.OK, f"{limit} is {size:,} bytes")
    where = "  # on the host" if place_of(machine) is Place.CONTAINER else ""
    return Finding(
        name,
        Verdict.WARNING,
        f"{limit} is {size:,} bytes, of the {enough:,} that anycan is to have (CAP_NET_ADMIN goes"
        " beyond it)",
        f"echo {limit}={_SET_BUFFER} | sudo tee -a /etc/sysctl.d/60-can.conf"
        f" && sudo sysctl -w {limit}={_SET_BUFFER}{where}",
    )


def _files(limit: int | None) -> Finding:
    name = "open files"
    if limit is None:
        return Finding(name, Verdict.OK, "not limited")
    found = f"{limit:,}; each endpoint takes one"
    if limit >= _FILES:
        return Finding(name, Verdict.OK, found)
    return Finding(name, Verdict.WARNING, found, f"ulimit -n {_FILES}")


def _parameters(machine: Machine) -> Iterator[Finding]:
    """Tell the parameters of modules that are loaded."""
    size = _number(machine.read("/sys/module/can_isotp/parameters/max_pdu_size"))
    if size is not None:
        yield Finding("ISO-TP PDUs", Verdict.OK, f"{size:,} bytes at most (max_pdu_size)")
    elif (
        "can_isotp" in machine.names_in("/sys/module")
        and version_of(machine.release) < _PDU_SIZE_SINCE
    ):
        found = "8,200 bytes at most: max_pdu_size came with Linux 6.3"
        yield Finding("ISO-TP PDUs", Verdict.OK, found)
    hops = _number(machine.read("/sys/module/can_gw/parameters/max_hops"))
    if hops is not None:
        found = f"{hops} at most through can-gw (max_hops)"
        yield Finding("hops of a frame", Verdict.OK, found)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None
