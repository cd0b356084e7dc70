"""The user-space network's sockets: a descriptor that polls as the kernel's would.

The frames wait in memory; :class:`~anycan.network.readiness.Readiness` is what an event loop polls.
"""

from __future__ import annotations

import errno
import os
import time
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from anycan.exceptions import CanOSError
from anycan.network.readiness import Readiness
from anycan.sockets.errors import explain_open

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.network.core.socket import SocketCore
    from anycan.network.user import UserNetwork
    from anycan.wire.messages import MessageBuffer


class UserDescriptor:
    """A socket of a user-space network: a :class:`~anycan.sockets.descriptor.Descriptor`.

    Args:
        open_core: Opens the socket; it is given what to call when the socket may have become
            readable or writable, or no longer is.
        now_ns: Gives the time, in nanoseconds since the epoch.

    Raises:
        CanOSError: There are no descriptors left.
    """

    def __init__(
        self,
        open_core: Callable[[Callable[[], object]], SocketCore],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._socket = open_core(self._changed)
        self._core: SocketCore | _ClosedCore = self._socket
        try:
            self._readiness = Readiness()
        except OSError as error:  # there are no descriptors left
            self._socket.close()
            raise explain_open(error, "") from None
        self._now_ns = now_ns

    @classmethod
    def on(cls, network: UserNetwork, protocol: int, module: str) -> UserDescriptor:
        """Open a socket of a network.

        Args:
            network: Where.
            protocol: ``CAN_RAW`` and its like.
            module: What the kernel calls that, for the error message.

        Raises:
            NetworkUnavailableError: The network is closed.
            ProtocolUnavailableError: It has no such sockets.
        """
        try:
            open_core = partial(network._open_socket, protocol)  # noqa: SLF001 - hidden from users alone
            return cls(open_core, network._now_ns)  # noqa: SLF001 - hidden from users alone
        except CanOSError:
            raise
        except OSError as error:
            raise explain_open(error, module) from None

    def fileno(self) -> int:
        """Give the descriptor to poll; -1: it is closed."""
        return self._readiness.fileno()

    def _changed(self) -> None:
        """Make the descriptor poll as the socket is."""
        core, readiness = self._socket, self._readiness
        if core.readable is not readiness.readable:
            readiness.set_readable()
        if core.writable is not readiness.writable:
            readiness.set_writable()

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``."""
        self._core.bind(address)

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``."""
        self._core.connect(address)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set a socket option from its bytes."""
        self._core.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of a socket option, ``size`` at most."""
        return self._core.getsockopt(level, option, size)

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with what waits."""
        return self._core.receive(buffer)

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        """Send messages in their order."""
        return self._core.send_many(payloads, address, self._now_ns)

    def send_received(self, buffer: MessageBuffer, count: int, size: int) -> int:
        """Send the first payloads of a receive buffer, all of one length."""
        starts = range(0, count * buffer.stride, buffer.stride)
        return self.send([bytes(buffer.records[start : start + size]) for start in starts])

    def close(self) -> None:
        """Close the socket; a second time does nothing. Every other call then gives EBADF."""
        self._core.close()
        self._core = _ClosedCore()
        self._readiness.close()


class _ClosedCore:
    """What a closed descriptor has instead of a socket, so that an open one need not ask."""

    def refuse(self, *_: object) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    bind = connect = setsockopt = getsockopt = receive = send = send_many = refuse

    def close(self) -> None:
        pass
