"""Which network is meant, and opening a socket on it.

A program on the kernel does not wait for the networks in user space to be imported.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from anyio import to_thread

from anycan.exceptions import NetworkUnavailableError
from anycan.network.base import Network
from anycan.sockets.kernel import KernelDescriptor, KernelNetwork, kernel

if TYPE_CHECKING:
    from anycan.network.client import ServedNetwork
    from anycan.sockets.descriptor import Descriptor

NETWORK_VARIABLE: Final = "ANYCAN_NETWORK"
_connections: Final[dict[str, ServedNetwork]] = {}


def resolve_network(network: Network | str | None) -> Network:
    """Give the network that a ``network=`` argument names.

    Args:
        network: A network; or ``"kernel"``, ``"user:NAME"`` (an :class:`~anycan.UserNetwork` of
            that name, open in this process), ``"unix:PATH"`` (one that another process serves at
            that path); None: what the environment variable
            ``ANYCAN_NETWORK`` names, else the kernel.

    Raises:
        NetworkUnavailableError: There is no such network.
    """
    source = ""
    if network is None:
        network = os.environ.get(NETWORK_VARIABLE) or "kernel"
        source = f" (from the environment variable {NETWORK_VARIABLE})"
    if not isinstance(network, str):
        if not isinstance(network, Network):
            raise TypeError(f"network= is a network or the name of one, not {network!r}")
        return network
    if network == "kernel":
        return kernel
    scheme, _, rest = network.partition(":")
    if scheme == "user" and rest:
        from anycan.network.user import UserNetwork  # noqa: PLC0415 - see the top

        found = UserNetwork.find(rest)
        if found is None:
            raise NetworkUnavailableError(
                f"no user-space network {rest!r} is open in this process{source}: open it with"
                f" anycan.UserNetwork(name={rest!r})"
            )
        return found
    if scheme == "unix" and rest:
        return _connection(rest)
    raise NetworkUnavailableError(
        f"no network is called {network!r}{source}: use kernel, unix:PATH for one that another"
        " process serves, or user:NAME for an anycan.UserNetwork open in this process"
    )


def _connection(path: str) -> ServedNetwork:
    """Give this process's connection to a served network; all that name it share one."""
    from anycan.network.client import ServedNetwork  # noqa: PLC0415 - see the top

    known = _connections.get(path)
    if known is None or known.closed:  # one that is lost connects again
        known = _connections[path] = ServedNetwork(path)
    return known


async def connect_network(path: str) -> ServedNetwork:
    """Connect to a network that another process serves.

    Args:
        path: Where it is served (:meth:`UserNetwork.serve`, ``anycan network serve --path``).

    Returns:
        The network. Close it, or use it as a context manager.

    Raises:
        NetworkUnavailableError: No network is served there, or it does not answer.
        CanPermissionError: This user may not connect to it.

    What is asked of it is done by the server before the call returns: so the server is another
    process, or at least another thread. In the thread that serves it, use the network itself.

    Example:
        ::

            async with await anycan.connect_network("/run/user/1000/anycan.sock") as network:
                async with anycan.open_raw("vcan0", network=network) as can:
                    await can.send(anycan.Frame(0x123, b"hello"))
    """
    from anycan.network.client import ServedNetwork  # noqa: PLC0415 - see the top

    return await to_thread.run_sync(ServedNetwork, path)


def open_descriptor(network: Network, kind: int, protocol: int, module: str) -> Descriptor:
    """Open a PF_CAN socket on a network.

    Args:
        network: Where.
        kind: The socket's type.
        protocol: ``CAN_RAW`` and its like.
        module: The kernel module that has the protocol, for error messages.

    Raises:
        ProtocolUnavailableError: The network has no such sockets.
    """
    if isinstance(network, KernelNetwork):
        return KernelDescriptor(kind, protocol, module)
    from anycan.network.user import UserNetwork  # noqa: PLC0415 - see the top

    if isinstance(network, UserNetwork):
        from anycan.sockets.user import UserDescriptor  # noqa: PLC0415 - as above

        return UserDescriptor.on(network, protocol, module)
    from anycan.network.client import ServedNetwork  # noqa: PLC0415 - as above
    from anycan.sockets.served import ServedDescriptor  # noqa: PLC0415 - as above

    if isinstance(network, ServedNetwork):
        return ServedDescriptor(network, protocol, module)
    raise TypeError(f"anycan cannot open sockets on {network!r}")
