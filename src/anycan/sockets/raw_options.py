"""The options of a raw CAN socket, and setting them."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.sockets.errors import explain_option
from anycan.wire.constants import (
    CAN_RAW_FD_FRAMES,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_XL_FRAMES,
    CAN_RAW_XL_VCID_OPTS,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RXQ_OVFL,
    SO_SNDBUF,
    SO_TIMESTAMPING,
    SO_TIMESTAMPNS,
    SOF_TIMESTAMPING_RAW_HARDWARE,
    SOF_TIMESTAMPING_RX_HARDWARE,
    SOF_TIMESTAMPING_RX_SOFTWARE,
    SOF_TIMESTAMPING_SOFTWARE,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.options import VcidOptions, pack_integer, pack_vcid_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.filter import CanFilter, Filter
    from anycan.frame import ErrorClass
    from anycan.sockets.descriptor import Descriptor

RECEIVE_BUFFER: Final = 4 * 1024 * 1024  # some 4,000 frames, half a second of a full 1 Mbit/s bus
_GREATEST_BUFFER: Final = 2**31 - 1  # the kernel's integers
_HARDWARE_STAMPS: Final = (
    SOF_TIMESTAMPING_RX_HARDWARE
    | SOF_TIMESTAMPING_RX_SOFTWARE
    | SOF_TIMESTAMPING_SOFTWARE
    | SOF_TIMESTAMPING_RAW_HARDWARE
)


@attrs.frozen(kw_only=True)
class RawOptions:
    """The options of a raw CAN socket; :func:`anycan.open_raw` says what each means."""

    filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None = None
    errors: ErrorClass | int = 0
    fd: bool = True
    xl: bool = False
    vcid: VcidOptions | None = None
    loopback: bool = True
    receive_own: bool = False
    join_filters: bool = False
    timestamps: Literal["software", "hardware"] = "software"
    receive_buffer: int | None = None
    send_buffer: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.xl and not self.fd:
            raise ValueError("a socket that takes CAN XL frames takes CAN FD too: leave fd=True")
        if self.vcid is not None and not self.xl:
            raise ValueError("vcid= is for CAN XL frames: it needs xl=True")
        if self.timestamps not in {"software", "hardware"}:
            raise ValueError(f'timestamps= is "software" or "hardware", not {self.timestamps!r}')
        _check_buffer("receive_buffer", self.receive_buffer)
        _check_buffer("send_buffer", self.send_buffer)


def _check_buffer(name: str, size: int | None) -> None:
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

    def configure(self, options: RawOptions) -> None:
        """Set all but the filters; on a socket that is not bound yet, so that no frame slips in."""
        one = pack_integer(1)
        if not options.loopback:
            self.set(CAN_RAW_LOOPBACK, pack_integer(0), "CAN_RAW_LOOPBACK", "2.6.25")
        if options.receive_own:
            self.set(CAN_RAW_RECV_OWN_MSGS, one, "CAN_RAW_RECV_OWN_MSGS", "2.6.25")
        if options.fd:
            self.set(CAN_RAW_FD_FRAMES, one, "CAN_RAW_FD_FRAMES", "3.6")
        if options.join_filters:
            self.set(CAN_RAW_JOIN_FILTERS, one, "CAN_RAW_JOIN_FILTERS", "4.1")
        if options.xl:
            self.set(CAN_RAW_XL_FRAMES, one, "CAN_RAW_XL_FRAMES", "6.1")
        if options.vcid is not None:
            value = pack_vcid_options(options.vcid)
            self.set(CAN_RAW_XL_VCID_OPTS, value, "CAN_RAW_XL_VCID_OPTS", "6.9")
        if options.timestamps == "hardware":
            value = pack_integer(_HARDWARE_STAMPS)
            self.set(SO_TIMESTAMPING, value, "SO_TIMESTAMPING", "2.6.30", SOL_SOCKET)
        else:
            self.set(SO_TIMESTAMPNS, one, "SO_TIMESTAMPNS", "2.6.22", SOL_SOCKET)
        self.set(SO_RXQ_OVFL, one, "SO_RXQ_OVFL", "2.6.33", SOL_SOCKET)
        self._size_buffers(options)

    def _size_buffers(self, options: RawOptions) -> None:
        # The kernel doubles both values for its own overhead. A small send buffer, so that a full
        # one (which poll can see) is met before a full interface queue (which poll cannot see):
        # the least the kernel gives, unless told.
        value = pack_integer((options.send_buffer or 0) // 2)
        self.set(SO_SNDBUF, value, "SO_SNDBUF", "2.0", SOL_SOCKET)
        value = pack_integer((options.receive_buffer or RECEIVE_BUFFER) // 2)
        # The first form goes beyond net.core.rmem_max and needs CAP_NET_ADMIN.
        try:
            self._descriptor.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, value)
        except PermissionError:
            self.set(SO_RCVBUF, value, "SO_RCVBUF", "2.0", SOL_SOCKET)
