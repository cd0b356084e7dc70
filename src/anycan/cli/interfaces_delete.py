"""``anycan interfaces delete``: delete virtual interfaces."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from anycan import delete_interface
from anycan.cli.common import NetworkOption, emit
from anycan.cli.interfaces_change import change_each
from anycan.cli.interfaces_text import shown


async def delete(
    first: Annotated[str, Parameter(name="NAME")],
    /,
    *more: Annotated[str, Parameter(name="NAME")],
    network: NetworkOption = None,
) -> int:
    """Delete virtual interfaces: a vcan, or both ends of a vxcan.

    On the kernel it needs CAP_NET_ADMIN.

    Args:
        first: An interface.
        more: More of them.
        network: Where the interfaces are.
    """

    async def take_away(name: str) -> None:
        await delete_interface(name, network=network)
        emit(f"{shown(name)}: deleted\n")

    await change_each((first, *more), take_away)
    return 0
