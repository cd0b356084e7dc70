"""Which network is meant, and opening a socket on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from anycan.exceptions import NetworkUnavailableError
from anycan.network.base import Network
from anycan.network.user import UserNetwork
from anycan.sockets.kernel import KernelDescriptor, KernelNetwork, kernel
from anycan.sockets.user import UserDescriptor

if TYPE_CHECKING:
    from anycan.sockets.descriptor import Descriptor

NETWORK_VARIABLE: Final = "ANYCAN_NETWORK"


def resolve_network(network: Network | str | None) -> Network:
    """Give the network that a ``network=`` argument names.

    Args:
        network: A network; or ``"kernel"``, ``"user:NAME"`` (an :class:`~anycan.UserNetwork` of
            that name, open in this process); None: what the environment variable
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
        found = UserNetwork.find(rest)
        if found is None:
            raise NetworkUnavailableError(
                f"no user-space network {rest!r} is open in this process{source}: open it with"
                f" anycan.UserNetwork(name={rest!r})"
            )
        return found
    if scheme == "unix" and rest:
        raise NetworkUnavailableError(
            f"{network}{source}: this version serves no network to other processes; use kernel,"
            " or a UserNetwork in the same process"
        )
    raise NetworkUnavailableError(
        f"no network is called {network!r}{source}: use kernel, or user:NAME for an"
        " anycan.UserNetwork open in this process"
    )


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
    match network:
        case KernelNetwork():
            return KernelDescriptor(kind, protocol, module)
        case UserNetwork():
            return UserDescriptor.on(network, protocol, module)
        case _:
            raise TypeError(f"anycan cannot open sockets on {network!r}")
