"""``anycan interfaces up``: bring interfaces up."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from anycan import InterfaceError, set_up
from anycan.cli.common import NetworkOption  # noqa: TC001 - cyclopts reads annotations
from anycan.cli.interfaces_change import change_each, explain_start, tell


async def up(
    first: Annotated[str, Parameter(name="NAME")],
    /,
    *more: Annotated[str, Parameter(name="NAME")],
    network: NetworkOption = None,
) -> int:
    """Bring interfaces up, and print what each is then.

    A controller needs a bit rate first: `anycan interfaces set can0 --bitrate 500k --up`. On the
    kernel it needs CAP_NET_ADMIN.

    Args:
        first: An interface.
        more: More of them.
        network: Where the interfaces are.
    """

    async def bring_up(name: str) -> None:
        try:
            await set_up(name, network=network)
        except InterfaceError as error:
            await explain_start(name, network, error)
            raise
        await tell(name, network)

    await change_each((first, *more), bring_up)
    return 0
