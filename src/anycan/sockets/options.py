"""Setting the options of a socket, and explaining what is refused."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Final

from anycan.sockets.errors import explain_option
from anycan.wire.constants import (
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RXQ_OVFL,
    SO_TIMESTAMPNS,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.options import pack_integer

if TYPE_CHECKING:
    from anycan.sockets.descriptor import Descriptor

RECEIVE_BUFFER: Final = 4 * 1024 * 1024  # some 4,000 frames, half a second of a full 1 Mbit/s bus
_GREATEST_BUFFER: Final = 2**31 - 1  # the kernel's integers


def check_buffer(name: str, size: int | None) -> None:
    """Check the size of a buffer; None: it has the default's.

    Raises:
        ValueError: It is out of range.
        TypeError: It is no integer.
    """
    if size is None:
        return
    try:
        size = index(size)
    except TypeError:
        raise TypeError(f"{name}= is a number of bytes, not {size!r}") from None
    if not 1 <= size <= _GREATEST_BUFFER:
        raise ValueError(f"{name}= is 1 to {_GREATEST_BUFFER} bytes, not {size}")


class OptionSetter:
    """Sets the options of a socket, and explains what is refused.

    Args:
        descriptor: The socket.
        interface: The interface it is for, in error messages; None: all.
    """

    def __init__(self, descriptor: Descriptor, interface: str | None) -> None:
        self._descriptor = descriptor
        self._interface = interface

    def set(
        self, option: int, value: bytes, name: str, since: str, level: int = SOL_CAN_RAW
    ) -> None:
        """Set an option.

        Args:
            option: Its number.
            value: Its bytes.
            name: What the kernel calls it.
            since: The version of Linux that it came with.
            level: Whose option it is.

        Raises:
            OptionNotSupportedError: The kernel does not know it.
            CanPermissionError: The process may not set it.
        """
        try:
            self._descriptor.setsockopt(level, option, value)
        except OSError as error:
            raise explain_option(error, self._interface, name, since) from None

    def set_receive_buffer(self, size: int | None) -> None:
        """Set the size of the receive buffer, in bytes as the kernel counts; None: 4 MiB."""
        value = pack_integer((size or RECEIVE_BUFFER) // 2)  # the kernel doubles it
        # The first form goes beyond net.core.rmem_max and needs CAP_NET_ADMIN.
        try:
            self._descriptor.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, value)
        except PermissionError:
            self.set(SO_RCVBUF, value, "SO_RCVBUF", "2.0", SOL_SOCKET)

    def stamp_messages(self) -> None:
        """Have messages carry the kernel's time stamps."""
        self.set(SO_TIMESTAMPNS, pack_integer(1), "SO_TIMESTAMPNS", "2.6.22", SOL_SOCKET)

    def count_drops(self) -> None:
        """Have messages carry the drop count."""
        self.set(SO_RXQ_OVFL, pack_integer(1), "SO_RXQ_OVFL", "2.6.33", SOL_SOCKET)
