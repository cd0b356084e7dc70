"""What a PF_CAN socket of any network can do, at the level of bytes.

:class:`~anycan.sockets.kernel.KernelDescriptor` is the kernel's,
:class:`~anycan.sockets.user.UserDescriptor` the user-space network's. Both take the same option
numbers, fill the same :class:`~anycan.wire.messages.MessageBuffer` and raise :class:`OSError` with
the same error numbers, in the same cases and in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.wire.messages import MessageBuffer


class Descriptor(Protocol):
    """A PF_CAN socket. Every call returns at once."""

    def fileno(self) -> int:
        """Give a descriptor that polls readable and writable as the kernel's socket would."""
        ...

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``; index 0: to all."""
        ...

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``; index 0: to all."""
        ...

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set a socket option from its bytes."""
        ...

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of a socket option, ``size`` at most."""
        ...

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with what waits, as recvmmsg(2).

        Returns:
            How many messages were stored, from 1 to the buffer's limit.

        Raises:
            BlockingIOError: Nothing waits.
            OSError: The socket's pending error; it is cleared by that.
        """
        ...

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        """Send messages in their order, as sendmmsg(2).

        Args:
            payloads: One frame each; not empty.
            address: ``struct sockaddr_can`` of the interface to send to; None: the bound one.

        Returns:
            How many were taken, from 1; what follows a refused one is not tried.

        Raises:
            OSError: The first of them was refused (``EAGAIN``: the send buffer is full;
                ``ENOBUFS``: the interface's queue is).
        """
        ...

    def send_received(self, buffer: MessageBuffer, count: int, size: int) -> int:
        """Send the first payloads of a receive buffer, all of one length.

        Args:
            buffer: What another socket has filled.
            count: How many.
            size: The length of each.

        Returns:
            How many were taken, from 1.

        Raises:
            OSError: As :meth:`send`.
        """
        ...

    def close(self) -> Callable[[], object] | None:
        """Close the socket; a second time does nothing.

        Returns:
            What is left to be done and may wait, to be called once, in a thread; None: nothing.
        """
        ...
