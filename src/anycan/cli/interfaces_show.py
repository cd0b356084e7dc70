"""``anycan interfaces show``: everything of one interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anycan import get_interface, list_interfaces
from anycan.cli.common import NetworkOption, emit
from anycan.cli.interfaces_json import interface_object
from anycan.cli.interfaces_sections import sections_of
from anycan.cli.interfaces_text import condition_words, shown

if TYPE_CHECKING:
    from anycan import Interface

_PIPED: Final = 100  # columns, where there is no terminal
_NAMES: Final = 17  # columns of what stands at the left


async def show(
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    network: NetworkOption = None,
) -> int:
    """Show everything of one interface: settings, what they can be, counters, its device.

    It needs no rights.

    Args:
        name: The interface.
        as_json: Print an object of JSON, with the attributes of `anycan.Interface`.
        network: Where it is.
    """
    interface = await get_interface(name, network=network)
    if as_json:
        emit(f"{json.dumps(interface_object(interface), indent=2)}\n")
        return 0
    names: dict[int, str] = {}
    if interface.peer_index is not None:
        names = {one.index: one.name for one in await list_interfaces(network=network)}
    print_sections(Console(highlight=False), interface, names)
    return 0


def print_sections(console: Console, interface: Interface, names: dict[int, str]) -> None:
    """Print everything of an interface.

    Args:
        console: Where.
        interface: The interface.
        names: The names of the interfaces that there are, by index.
    """
    if not console.is_terminal:
        console.width = max(console.width, _PIPED)
    condition = Text(", ").join(
        Text(text, style=style) for text, style in condition_words(interface)
    )
    console.print(Text.assemble((shown(interface.name), "bold"), ": ", condition))
    for title, rows in sections_of(interface, names):
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=_NAMES, no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(Text(f"  {row[0]}"), Text(row[1]))
        console.print()
        console.print(Text(title, style="bold"))
        console.print(table)
