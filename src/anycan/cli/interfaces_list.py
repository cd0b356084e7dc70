"""``anycan interfaces list``: all CAN interfaces, as a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from anycan import list_interfaces
from anycan.cli.common import NetworkOption, emit, say
from anycan.cli.interfaces_json import interface_object
from anycan.cli.interfaces_table import fitting_table, whole_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan import Interface


async def list(  # noqa: A001 - the command's name
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    network: NetworkOption = None,
) -> int:
    """Show all CAN interfaces: what they are, what they are set to, and what has passed them.

    A narrow terminal shows less: `anycan interfaces show` has everything of one interface. It needs
    no rights.

    Args:
        as_json: Print an array of objects of JSON, with the attributes of `anycan.Interface`.
        network: Where the interfaces are.
    """
    interfaces = await list_interfaces(network=network)
    if as_json:
        emit(f"{json.dumps([interface_object(one) for one in interfaces], indent=2)}\n")
    elif interfaces:
        print_table(Console(highlight=False), interfaces)
    else:
        say(
            "there is no CAN interface here: plug in an adapter, or make a virtual one ('anycan"
            " interfaces add vcan0', as root); 'anycan doctor' says what may be missing"
        )
    return 0


def print_table(console: Console, interfaces: Sequence[Interface]) -> None:
    """Print the table."""
    table = fitting_table(console, interfaces)
    if not console.is_terminal:
        console.width = max(console.width, whole_width(console, table))
    console.print(table)
