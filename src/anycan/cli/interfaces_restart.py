"""``anycan interfaces restart``: restart a controller that is bus-off."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from anycan import restart_interface
from anycan.cli.common import NetworkOption  # noqa: TC001 - cyclopts reads annotations
from anycan.cli.interfaces_change import tell


async def restart(
    name: Annotated[str, Parameter(name="NAME")], /, *, network: NetworkOption = None
) -> int:
    """Restart a controller that is bus-off, and print what it is then.

    It is for one that does not restart by itself: `anycan interfaces set can0 --restart 0.1` has it
    do so. On the kernel it needs CAP_NET_ADMIN.

    Args:
        name: The interface.
        network: Where it is.
    """
    await restart_interface(name, network=network)
    await tell(name, network)
    return 0
