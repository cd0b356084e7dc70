"""``anycan interfaces down``: take interfaces down."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from anycan import set_down
from anycan.cli.common import NetworkOption  # noqa: TC001 - cyclopts reads annotations
from anycan.cli.interfaces_change import change_each, tell


async def down(
    first: Annotated[str, Parameter(name="NAME")],
    /,
    *more: Annotated[str, Parameter(name="NAME")],
    network: NetworkOption = None,
) -> int:
    """Take interfaces down, and print what each is then.

    On the kernel it needs CAP_NET_ADMIN.

    Args:
        first: An interface.
        more: More of them.
        network: Where the interfaces are.
    """

    async def take_down(name: str) -> None:
        await set_down(name, network=network)
        await tell(name, network)

    await change_each((first, *more), take_down)
    return 0
