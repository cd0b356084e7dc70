"""``anycan doctor``: what this machine can do with CAN, what is missing, and what mends it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from anycan import kernel, list_interfaces
from anycan.cli.common import emit
from anycan.cli.doctor_finding import INTERFACES, RAW_SOCKETS, Finding, Section, Verdict
from anycan.cli.doctor_interfaces import check_interfaces
from anycan.cli.doctor_limits import check_limits, check_rights
from anycan.cli.doctor_machine import Machine, this_machine
from anycan.cli.doctor_modules import Modules
from anycan.cli.doctor_programs import check_network, check_programs
from anycan.cli.doctor_report import print_report
from anycan.cli.doctor_sockets import check_modules, check_sockets
from anycan.cli.doctor_system import check_python, check_system

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from anycan import Interface

_PIPED: Final = 100  # columns, where there is no terminal


async def doctor(*, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Show what this machine can do with CAN, what is missing, and the command that mends it.

    It opens a socket of each protocol, which loads the protocol's module on many systems, and
    changes nothing else. The exit status is 0 where the kernel's CAN can be used, else 1.

    Args:
        as_json: Print the findings as a list of objects of JSON.
    """
    sections = await examine(this_machine(), partial(list_interfaces, network=kernel))
    if as_json:
        objects = [one.as_object(part.title) for part in sections for one in part.findings]
        emit(f"{json.dumps(objects, indent=2)}\n")
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, _PIPED)
        print_report(console, sections)
    return 0 if any(_can_use(section.findings) for section in sections) else 1


def _can_use(findings: Iterable[Finding]) -> bool:
    return any(one.name == RAW_SOCKETS and one.verdict is Verdict.OK for one in findings)


async def examine(
    machine: Machine, interfaces_of: Callable[[], Awaitable[Sequence[Interface]]]
) -> list[Section]:
    """Make all checks. One that fails becomes a finding, and the others go on.

    Args:
        machine: What is looked at.
        interfaces_of: Gives its interfaces.
    """
    # Sockets first: opening them loads modules, which what follows sees then.
    sockets = _run("sockets", lambda: check_sockets(machine, Modules.of(machine)))
    modules = _run("modules", lambda: check_modules(machine, Modules.of(machine)))
    packages = _run("packages", partial(check_python, machine))
    network = _run("network", partial(check_network, machine))
    links = await _check_links(interfaces_of, _can_use(sockets)) if machine.is_linux else ()
    return [
        Section("System", _run("system", partial(check_system, machine))),
        Section("Sockets", sockets),
        Section("Modules", modules),
        Section("Rights", _run("rights", partial(check_rights, machine))),
        Section("Limits", _run("limits", partial(check_limits, machine))),
        Section(INTERFACES, links),
        Section("Programs", _run("programs", partial(check_programs, machine))),
        Section("Python and anycan", packages + network),
    ]


async def _check_links(
    interfaces_of: Callable[[], Awaitable[Sequence[Interface]]], can_use: bool
) -> tuple[Finding, ...]:
    try:
        interfaces = await interfaces_of()
    except Exception as error:  # noqa: BLE001 - whatever it is, the doctor tells it
        return (_failed("interfaces", error),)
    return _run("interfaces", lambda: check_interfaces(interfaces, can_use=can_use))


def _run(name: str, check: Callable[[], Iterable[Finding]]) -> tuple[Finding, ...]:
    """Give what a check finds, up to where it fails."""
    findings: list[Finding] = []
    try:
        for finding in check():
            findings.append(finding)  # noqa: PERF402 - what came before a failure stays
    except Exception as error:  # noqa: BLE001 - whatever it is, the doctor tells it
        findings.append(_failed(name, error))
    return tuple(findings)


def _failed(name: str, error: Exception) -> Finding:
    reason = f"{error}" or type(error).__name__
    return Finding(name, Verdict.WARNING, f"looking at them failed: {reason}")
