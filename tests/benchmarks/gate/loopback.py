"""A raw endpoint whose socket is the kernel's, where there is no PF_CAN.

:class:`~anycan.sockets.kernel.KernelDescriptor` makes the same calls of whatever datagram socket it
has: here one of UDP, on the loopback interface, with stamps and drop counts as a CAN socket has
them. What only CAN sockets know, their options and addresses, is left out.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import anycan
from anycan.sockets.kernel import KernelDescriptor, KernelNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_MTU = 72


class LoopbackNetwork(KernelNetwork):
    """A network of one interface, whatever its name."""

    def interface_index(self, name: str) -> int:  # noqa: ARG002 - there is one
        """Give its index."""
        return 1

    def interface_name(self, index: int) -> str | None:  # noqa: ARG002 - as above
        """Give its name."""
        return "can0"

    def interface_mtu(self, index: int) -> int | None:  # noqa: ARG002 - as above
        """Give its MTU."""
        return _MTU


class LoopbackDescriptor(KernelDescriptor):
    """A socket of UDP, as the kernel's descriptor of CAN.

    Attributes:
        bus: The socket at the other end: what it sends, is received.
    """

    def __init__(self) -> None:
        with patch("anycan.sockets.kernel.AF_CAN", socket.AF_INET):
            super().__init__(socket.SOCK_DGRAM, 0, "udp")
        self.bus = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.bus.bind(("127.0.0.1", 0))
        self.bus.connect(self._socket.getsockname())
        self._socket.connect(self.bus.getsockname())

    def bind(self, address: bytes) -> None:
        """Do nothing: it is bound."""

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set a socket option that is not CAN's alone."""
        if level == socket.SOL_SOCKET:
            super().setsockopt(level, option, value)

    def close(self) -> Callable[[], object] | None:
        """Close both ends."""
        self.bus.close()
        return super().close()


@asynccontextmanager
async def open_loopback(**options: Any) -> AsyncIterator[tuple[anycan.RawEndpoint, socket.socket]]:
    """Open an endpoint.

    Args:
        **options: As of :func:`anycan.open_raw`.

    Yields:
        The endpoint, and the socket that sends what it receives. What the endpoint sends, nobody
        reads: the socket drops it once its buffer is full.
    """
    descriptor = LoopbackDescriptor()
    with patch("anycan.sockets.common.open_descriptor", lambda *_: descriptor):
        opened = anycan.open_raw("can0", network=LoopbackNetwork(), **options)
        can = await opened.__aenter__()
    try:
        yield can, descriptor.bus
    finally:
        await opened.__aexit__(None, None, None)
