"""A raw CAN socket of any network: typed options, batches of frames, errors explained."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, FilterError
from anycan.filter import CanFilter, Filter, kernel_filters
from anycan.frame import EFF_MASK, FdFrame, XlFrame
from anycan.sockets.errors import (
    explain_bind,
    explain_receive,
    explain_send,
    interface_removed,
    unknown_interface,
)
from anycan.sockets.networks import open_descriptor
from anycan.sockets.raw_options import OptionSetter, RawOptions
from anycan.wire.constants import (
    CAN_MTU,
    CAN_RAW,
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FILTER,
    CANFD_MTU,
    CANXL_MIN_MTU,
    CANXL_MTU,
    SK_MEMINFO_DROPS,
    SK_MEMINFO_VARS,
    SO_ERROR,
    SO_MEMINFO,
    SOL_SOCKET,
)
from anycan.wire.frames import encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE, MessageBuffer, pack_address
from anycan.wire.options import pack_filters, pack_integer, unpack_integers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anycan.frame import AnyFrame, ErrorClass
    from anycan.network.base import Network

RECEIVE_BATCH: Final = 128
SEND_BATCH: Final = 64


class _InterfaceNames(dict[int, str | None]):
    """Names of interfaces by index, asked for once each."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def __missing__(self, index: int) -> str | None:
        name = self[index] = self._network.interface_name(index)
        return name


class RawSocket:
    """A bound raw CAN socket, non-blocking, on any network.

    Args:
        network: Where the interface is.
        interface: Its name or index; None: all interfaces.
        options: The socket's options.

    Attributes:
        on_pending_error: Called with a pending error that a send call got, which tells of the
            interface and not of what was sent.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The kernel has no raw CAN sockets.
        OptionNotSupportedError: The kernel does not know an option that was asked for.
        FilterError: There are more filters than a socket takes.
    """

    def __init__(self, network: Network, interface: str | int | None, options: RawOptions) -> None:
        self.network = network
        self.options = options
        self.received = 0
        self.sent = 0
        self.malformed = 0
        self.on_pending_error: Callable[[CanOSError], object] = _ignore
        self._told_down = False  # and nothing has been sent to the bound interface since
        self._dropped = 0
        self._names = _InterfaceNames(network)
        self._buffer = MessageBuffer(
            RECEIVE_BATCH,
            XL_PAYLOAD_SIZE if options.xl else CANFD_MTU if options.fd else CAN_MTU,
            hardware_stamps=options.timestamps == "hardware",
        )
        self._addresses: dict[str | int, bytes] = {}
        filters = _pack(options.filters)
        # First of all, so that where there is no PF_CAN at all this is what is said.
        self._descriptor = open_descriptor(network, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self.fd = self._descriptor.fileno()
        self._fill = self._descriptor.receive
        self._decode = self._buffer.decode
        try:
            self.index, self.interface = _find_interface(network, interface)
            self._setter = OptionSetter(self._descriptor, self.interface)
            if filters is not None:
                self._set_filters(filters)
            if options.errors:
                self.set_errors(options.errors)
            self._setter.configure(options)
            self._bind()
        except BaseException:
            self._descriptor.close()
            raise

    def _bind(self) -> None:
        try:
            self._descriptor.bind(pack_address(self.index))
        except OSError as error:
            exists = self.network.interface_name(self.index) is not None
            raise explain_bind(error, self.interface, exists=exists) from None

    def set_filters(
        self, filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None
    ) -> None:
        """Change which data and remote frames are received; None: all.

        Raises:
            FilterError: There are more than a socket takes; the old ones stay.
        """
        value = _pack(filters)
        if value is None:
            value = pack_filters(Filter.all().to_kernel())
        self._set_filters(value)

    def _set_filters(self, value: bytes) -> None:
        self._setter.set(CAN_RAW_FILTER, value, "CAN_RAW_FILTER", "2.6.25")

    def set_errors(self, classes: ErrorClass | int) -> None:
        """Change which classes of error frames are received; 0: none.

        Raises:
            FilterError: The classes are out of range.
        """
        if not 0 <= classes <= EFF_MASK:
            raise FilterError(f"error classes are 0 to 0x1FFFFFFF, not {classes:#x}")
        value = pack_integer(classes)
        self._setter.set(CAN_RAW_ERR_FILTER, value, "CAN_RAW_ERR_FILTER", "2.6.25")

    def receive(self) -> list[AnyFrame]:
        """Give the frames that wait, up to a batch; empty when those that waited were malformed.

        Raises:
            BlockingIOError: None waits.
            InterfaceDownError: The interface went down; told once.
            InterfaceRemovedError: The interface is gone; told once.
        """
        try:
            count = self._fill(self._buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            self._told_down = True
            raise self._explain_pending(error) from None
        frames = self._decode(count, self._names, self.interface)
        self.received += count
        if len(frames) != count:
            self.malformed += count - len(frames)
            self.received -= count - len(frames)
        return frames

    def send(self, frames: Sequence[AnyFrame], interface: str | int | None = None) -> int:
        """Send frames in their order, as many as are taken, up to a batch.

        Args:
            frames: At least one.
            interface: Where to; None: the bound interface, or on a socket bound to all, the one
                each frame came from.

        Returns:
            How many were taken, from 1.

        Raises:
            BlockingIOError: The send buffer is full (EAGAIN) or the interface's queue is
                (ENOBUFS): none was taken; ``errno`` tells which.
            InterfaceDownError: The interface is down.
            InterfaceRemovedError: The interface is gone.
            FrameNotSupportedError: The socket or the interface does not take the first frame.
        """
        frames = frames[:SEND_BATCH]
        if interface is None and not self.index:
            interface = getattr(frames[0], "interface", None)
            frames = _to_one_interface(frames)
        payloads = [encode_frame(frame) for frame in frames]
        try:
            if interface is None:
                count = self._send_to_bound(payloads)
            else:
                count = self._send_to(payloads, interface)
        except CanOSError:
            raise
        except OSError as error:
            raise self._explain_refusal(error, frames[0], interface) from None
        self.sent += count
        return count

    def _send_to_bound(self, payloads: Sequence[bytes]) -> int:
        if self._told_down:
            self._take_pending_error()
        try:
            count = self._descriptor.send(payloads)
        except OSError as error:
            if self._told_down or error.errno not in {errno.ENETDOWN, errno.ENODEV}:
                raise
            # What nobody has been told yet is a pending error of the interface's past, and says
            # nothing of these frames; only a second refusal does.
            self._tell(error)
            count = self._descriptor.send(payloads)
        self._told_down = False
        return count

    def _send_to(self, payloads: Sequence[bytes], interface: str | int) -> int:
        if self.index:
            # Otherwise nobody could tell the bound interface's pending error from a refusal.
            self._take_pending_error()
        known = self._addresses.get(interface)
        address = known or self._address(interface)
        try:
            return self._descriptor.send(payloads, address)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            del self._addresses[interface]
            if known is None:
                raise
        # It was removed since it was looked up. Another one may have its name by now.
        return self._descriptor.send(payloads, self._address(interface))

    def _take_pending_error(self) -> None:
        """Hand a pending error, if there is one, on to whoever receives."""
        (number,) = unpack_integers(self._descriptor.getsockopt(SOL_SOCKET, SO_ERROR, 4))
        if number:
            self._tell(OSError(number, os.strerror(number)))

    def _tell(self, error: OSError) -> None:
        """Hand a pending error on to whoever receives."""
        self._told_down = True
        self.on_pending_error(self._explain_pending(error))

    def _explain_pending(self, error: OSError) -> CanOSError:
        return explain_receive(error, self.interface, self.network.remedy(self.interface or "NAME"))

    def _explain_refusal(
        self, error: OSError, frame: AnyFrame, interface: str | int | None
    ) -> OSError:
        """Give what to raise when a frame was refused."""
        match error.errno:
            case errno.EAGAIN:
                return error
            case errno.ENOBUFS:
                return BlockingIOError(errno.ENOBUFS, error.strerror)
            case errno.ENXIO if interface is None and self.interface is not None:
                return interface_removed(self.interface)
        name = self.interface if interface is None else self._name_of(interface)
        reason = ""
        if error.errno in {errno.EINVAL, errno.EMSGSIZE}:
            reason = self._why_refused(frame, interface)
        return explain_send(error, name, reason, self.network.remedy(name or "NAME"))

    def _name_of(self, interface: str | int) -> str:
        """Give an interface's name; of one that is gone, what it was called by."""
        if isinstance(interface, str):
            return interface
        return self.network.interface_name(interface) or str(interface)

    def _address(self, interface: str | int) -> bytes:
        address = self._addresses.get(interface)
        if address is None:
            index, _ = _find_interface(self.network, interface)
            address = self._addresses[interface] = pack_address(index)
        return address

    def _why_refused(self, frame: AnyFrame, interface: str | int | None) -> str:
        """Say why a frame met EINVAL."""
        index = self.index if interface is None else _find_interface(self.network, interface)[0]
        name = self.network.interface_name(index) or str(interface)
        mtu = self.network.interface_mtu(index)
        if isinstance(frame, XlFrame):
            if not self.options.xl:
                return "the endpoint was opened without CAN XL: open it with xl=True"
            if mtu is not None and mtu < CANXL_MIN_MTU:
                remedy = self.network.remedy(name, CANXL_MTU)
                return f"{name} takes no CAN XL frames (MTU {mtu}); while it is down: {remedy}"
            return f"{name} takes no CAN XL frame of {len(frame.data)} bytes (MTU {mtu})"
        if isinstance(frame, FdFrame):
            if not self.options.fd:
                return "the endpoint was opened without CAN FD: open it with fd=True"
            if mtu is not None and mtu < CANFD_MTU:
                remedy = self.network.remedy(name, CANFD_MTU)
                return f"{name} takes no CAN FD frames (MTU {mtu}); while it is down: {remedy}"
        return f"{name} does not take {frame!r}"

    @property
    def dropped(self) -> int:
        """How many frames the kernel dropped because the socket's receive buffer was full."""
        try:
            size = 4 * SK_MEMINFO_VARS
            value = self._descriptor.getsockopt(SOL_SOCKET, SO_MEMINFO, size)
        except OSError:  # closed, or a kernel before 4.12: what the last frame said
            return max(self._dropped, self._buffer.drops)
        self._dropped = unpack_integers(value)[SK_MEMINFO_DROPS]
        return self._dropped

    def close(self) -> None:
        """Close the socket; the counters stay."""
        _ = self.dropped
        self._descriptor.close()
        self.fd = -1  # the number may soon be another's


def _ignore(_: CanOSError) -> None:
    """Take a pending error that nobody is there to hear."""


def _find_interface(network: Network, interface: str | int | None) -> tuple[int, str | None]:
    """Give the index and the name of an interface; 0 and None stand for all."""
    if interface is None:
        return 0, None
    if isinstance(interface, str):
        return network.interface_index(interface), interface
    if isinstance(interface, bool) or not isinstance(interface, int):
        raise TypeError(f"an interface is its name, its index or None, not {interface!r}")
    name = network.interface_name(interface)
    if name is None:
        raise unknown_interface(f"of index {interface}", None)
    return interface, name


def _pack(filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None) -> bytes | None:
    return None if filters is None else pack_filters(kernel_filters(filters))


def _to_one_interface(frames: Sequence[AnyFrame]) -> Sequence[AnyFrame]:
    """Give the first frames that go to the same interface as the very first."""
    interface = getattr(frames[0], "interface", None)
    for position, frame in enumerate(frames):
        if getattr(frame, "interface", None) != interface:
            return frames[:position]
    return frames
