"""A raw CAN socket of any network: typed options, batches of frames, errors explained."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, FilterError
from anycan.filter import CanFilter, Filter, kernel_filters
from anycan.frame import EFF_MASK, FdFrame, XlFrame
from anycan.sockets.common import CanSocket, find_interface
from anycan.sockets.errors import (
    explain_bind,
    explain_send,
    interface_removed,
)
from anycan.sockets.options import OptionSetter
from anycan.sockets.raw_options import RawOptions, configure
from anycan.wire.constants import (
    CAN_MTU,
    CAN_RAW,
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FILTER,
    CANFD_MTU,
    CANXL_MIN_MTU,
    CANXL_MTU,
    SO_ERROR,
    SOL_SOCKET,
)
from anycan.wire.frames import encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE, MessageBuffer, pack_address
from anycan.wire.options import pack_filters, pack_integer, unpack_integers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anycan.frame import AnyFrame, ErrorClass
    from anycan.network.base import Network

RECEIVE_BATCH: Final = 128
SEND_BATCH: Final = 64


class RawSocket(CanSocket):
    """A bound raw CAN socket, non-blocking, on any network.

    Args:
        network: Where the interface is.
        interface: Its name or index; None: all interfaces.
        options: The socket's options.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The kernel has no raw CAN sockets.
        OptionNotSupportedError: The kernel does not know an option that was asked for.
        FilterError: There are more filters than a socket takes.
    """

    def __init__(self, network: Network, interface: str | int | None, options: RawOptions) -> None:
        self.options = options
        self.sent = 0
        self._told_down = False  # and nothing has been sent to the bound interface since
        self._buffer = MessageBuffer(
            RECEIVE_BATCH,
            XL_PAYLOAD_SIZE if options.xl else CANFD_MTU if options.fd else CAN_MTU,
            hardware_stamps=options.timestamps == "hardware",
        )
        self._addresses: dict[str | int, bytes] = {}
        filters = _pack(options.filters)
        super().__init__(network, interface, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self._fill = self._descriptor.receive
        self._decode = self._buffer.decode
        try:
            self._setter = OptionSetter(self._descriptor, self.interface)
            if filters is not None:
                self._set_filters(filters)
            if options.errors:
                self.set_errors(options.errors)
            configure(self._setter, options)
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

    def _address(self, interface: str | int) -> bytes:
        address = self._addresses.get(interface)
        if address is None:
            address = self._addresses[interface] = self._address_of(interface)
        return address

    def _why_refused(self, frame: AnyFrame, interface: str | int | None) -> str:
        """Say why a frame met EINVAL."""
        index = self.index if interface is None else find_interface(self.network, interface)[0]
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
                return self._no_flexible(name, mtu)
        return f"{name} does not take {frame!r}"

    @property
    def _last_drops(self) -> int:
        return self._buffer.drops


def _pack(filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None) -> bytes | None:
    return None if filters is None else pack_filters(kernel_filters(filters))


def _to_one_interface(frames: Sequence[AnyFrame]) -> Sequence[AnyFrame]:
    """Give the first frames that go to the same interface as the very first."""
    interface = getattr(frames[0], "interface", None)
    for position, frame in enumerate(frames):
        if getattr(frame, "interface", None) != interface:
            return frames[:position]
    return frames
