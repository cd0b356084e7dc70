"""What ``anycan network status`` knows of a served network at a moment, and of its clients."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from anyio import to_thread

from anycan import list_interfaces
from anycan.cli.interfaces_json import interface_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan import Interface, NetworkStatus, ServedNetwork

_PROCESSES: Final = Path("/proc")


@attrs.frozen(kw_only=True)
class Look:
    """A served network at a moment.

    Attributes:
        status: What its server tells of itself and of its clients.
        interfaces: Its interfaces.
        commands: What clients run, by the number of their process, as far as it is known here.
    """

    status: NetworkStatus
    interfaces: list[Interface]
    commands: Mapping[int, str]

    def as_object(self) -> dict[str, Any]:
        """Give it as an object of JSON.

        Its keys are the attributes of :class:`anycan.NetworkStatus`; ``"interfaces"``, a list of
        objects with those of :class:`anycan.Interface`; and of each client, ``"command"`` as well.
        """
        made = attrs.asdict(self.status)
        for client in made["clients"]:
            client["command"] = self.commands.get(client["process"])
        return made | {"interfaces": [interface_object(one) for one in self.interfaces]}


async def look_at(network: ServedNetwork) -> Look:
    """Look at a network.

    Raises:
        NetworkUnavailableError: Its server is gone, or does not answer.
    """
    status = await to_thread.run_sync(network.status)  # which may take a second
    interfaces = await list_interfaces(network=network)
    return Look(status=status, interfaces=interfaces, commands=commands_of(status))


def commands_of(status: NetworkStatus, processes: Path = _PROCESSES) -> dict[int, str]:
    """Give what the clients of a network run, by the number of their process.

    Args:
        status: They.
        processes: Where the system tells of processes, if it does.
    """
    numbers = {client.process for client in status.clients}
    # This process is one of them, unless it and the server see other numbers for the same process:
    # in containers.
    if os.getpid() not in numbers:
        return {}
    found = {number: _command_of(processes / f"{number}") for number in numbers if number}
    return {number: command for number, command in found.items() if command}


def _command_of(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:  # it is gone, or there is no /proc
        return ""
    program, *arguments = words.split("\0")
    name = program.rpartition("/")[2]
    if name.startswith("python") and arguments and not arguments[0].startswith("-"):
        script, *arguments = arguments  # it is of interest, and its interpreter is not
        name = script.rpartition("/")[2]
    return " ".join([name, *arguments])


def user_name(number: int | None) -> str:
    """Give the name of a user; their number if they have none."""
    if number is None:
        return ""
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return f"{number}"
