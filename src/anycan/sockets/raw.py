"""A raw CAN socket of any network: typed options, batches of frames, errors explained."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from anycan.exceptions import CanOSError
from anycan.filter import Filter, FilterIndex
from anycan.frame import FdFrame, XlFrame
from anycan.sockets.common import CanSocket, find_interface
from anycan.sockets.errors import (
    explain_bind,
    explain_send,
    interface_removed,
)
from anycan.sockets.options import OptionSetter
from anycan.sockets.raw_filters import RawFilters, resolve_filters
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
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE, pack_address
from anycan.wire.options import pack_filters, pack_integer, unpack_integers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.filter import CanFilter, FilterArgument, Sieve
    from anycan.frame import AnyFrame, ErrorClass
    from anycan.network.base import Network

TakerT = TypeVar("TakerT")

_LOGGER: Final = logging.getLogger("anycan.sockets")
_ALL: Final = pack_filters(Filter.all().to_kernel())
RECEIVE_BATCH: Final = 128
XL_RECEIVE_BATCH: Final = 30  # as many as a server gives in one answer
SEND_BATCH: Final = 128
_LAST_BATCHES: Final = 256  # more than a receive buffer holds by default


class RawSocket(CanSocket):
    """A bound raw CAN socket, non-blocking, on any network.

    Args:
        network: Where the interface is.
        interface: Its name or index; None: all interfaces.
        options: The socket's options.

    Attributes:
        sent: Frames that the network took.
        filtered: Frames that the kernel's filters let through, and what is matched here did not.
        filters: What it is to receive.
        last_count: How many messages the last call of :meth:`receive_through` gave.

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
        self.filtered = 0
        self.last_count = 0
        self.coalesce = options.coalesce
        self._behind = False  # the last receive call gave all that it had room for
        self._told_of_filter = False
        self._told_down = False  # and nothing has been sent to the bound interface since
        self._buffer = FrameBuffer(
            XL_RECEIVE_BATCH if options.xl else RECEIVE_BATCH,
            XL_PAYLOAD_SIZE if options.xl else CANFD_MTU if options.fd else CAN_MTU,
            hardware_stamps=options.timestamps == "hardware",
        )
        self._addresses: dict[str | int, bytes] = {}
        self._filters_given = _repeatable(options.filters)
        self._error_classes = int(options.errors)
        self.filters = resolve_filters(
            self._filters_given, options.errors, joined=options.join_filters
        )
        self._sieve: Sieve[bool] | None = None
        filters = self.filters.kernel
        self._packed_filters = _ALL if filters is None else pack_filters(filters)
        super().__init__(network, interface, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self._fill = self._descriptor.receive
        self._decode = self._buffer.decode
        try:
            self._setter = OptionSetter(self._descriptor, self.interface)
            if filters is not None:
                self._set_filters(self._packed_filters)
            if self.filters.errors:
                self._set_errors(self.filters.errors)
            self._match_rest()
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

    def set_filters(self, filters: FilterArgument | None) -> None:
        """Change which frames are received; None: all data and remote frames.

        Raises:
            FilterError: There are more than a socket takes; the old ones stay.
        """
        filters = _repeatable(filters)
        joined = self.options.join_filters
        self._change(resolve_filters(filters, self._error_classes, joined=joined))
        self._filters_given = filters

    def set_errors(self, classes: ErrorClass | int) -> None:
        """Change which classes of error frames are received, beside those that filters name.

        Raises:
            FilterError: The classes are out of range.
        """
        joined = self.options.join_filters
        self._change(resolve_filters(self._filters_given, classes, joined=joined))
        self._error_classes = int(classes)

    def _change(self, filters: RawFilters) -> None:
        self.set_kernel_filters(filters.kernel, filters.errors)
        self.filters = filters
        self._match_rest()

    def set_kernel_filters(self, filters: tuple[CanFilter, ...] | None, errors: int) -> None:
        """Have the kernel filter otherwise than by what the socket is to receive.

        No frame is lost that passes the old filters and the new: the kernel adds those before it
        takes these away (``raw_setsockopt`` in ``net/can/raw.c``).

        Args:
            filters: The kernel's filters; None: all.
            errors: The classes of error frames.

        Raises:
            FilterError: There are more than a socket takes; the old ones stay.
        """
        self._set_filters(pack_filters(Filter.all().to_kernel() if filters is None else filters))
        self._set_errors(errors)

    def _match_rest(self) -> None:
        rest = self.filters.rest
        if rest is None:
            self._sieve = None
        else:
            index: FilterIndex[bool] = FilterIndex(self._filter_failed)
            index.add(rest, True)
            self._sieve = index.sieve()

    def _filter_failed(self, _taker: bool, frame: AnyFrame | None, error: Exception) -> None:
        """Tell that a function of :meth:`Filter.where` raised; once, lest a bus fill the log."""
        if not self._told_of_filter:
            self._told_of_filter = True
            where = self.interface or "all interfaces"
            _LOGGER.error(
                "%s: a filter's function failed, and the frame is not received (more of the same is"
                " not logged): %s, called with %s",
                where,
                f"{type(error).__name__}: {error}",
                frame,
                exc_info=error,
            )

    def rebind(self) -> int:
        """Bind to an interface that has been made anew under the name of the one that is gone.

        The socket has its options still; its filters it gets again.

        Returns:
            The interface's index.

        Raises:
            OSError: There is none of that name any more (ENODEV), or it cannot be bound to.

        Source: ``net/can/raw.c``, ``raw_notify``: with the interface a socket loses its filters.
        """
        index = self.network.interface_index(self.interface or "")
        self._descriptor.getsockopt(SOL_SOCKET, SO_ERROR, 4)  # of the one that is gone
        self._set_filters(self._packed_filters)
        self._descriptor.bind(pack_address(index))
        self._descriptor.getsockopt(SOL_SOCKET, SO_ERROR, 4)  # that it is down its events tell
        self._addresses.clear()
        self._names.clear()
        self._told_down = True  # until something has been sent
        self.index = index
        return index

    def _set_filters(self, value: bytes) -> None:
        self._packed_filters = value
        self._setter.set(CAN_RAW_FILTER, value, "CAN_RAW_FILTER", "2.6.25")

    def _set_errors(self, classes: int) -> None:
        value = pack_integer(classes)
        self._setter.set(CAN_RAW_ERR_FILTER, value, "CAN_RAW_ERR_FILTER", "2.6.25")

    def receive(self) -> list[AnyFrame]:
        """Give the frames that wait, up to a batch; empty when none of them was wanted.

        Raises:
            BlockingIOError: None waits.
            InterfaceDownError: The interface went down; told once.
            InterfaceRemovedError: The interface is gone; told once.
        """
        sieve = self._sieve
        if sieve is None:  # without another call: this is where most frames come by
            try:
                count = self._fill(self._buffer)
            except OSError as error:
                raise self._failed_to_receive(error) from None
            self._behind = count == self._buffer.capacity
            frames = self._decode(count, self._names, self.interface)
            if len(frames) != count:
                self.malformed += count - len(frames)
            self.received += len(frames)
            return frames
        frames = self._receive(sieve)
        sieve.targets.clear()
        self.filtered += sieve.refused
        sieve.refused = 0
        return frames

    def receive_through(self, sieve: Sieve[TakerT], limit: int) -> list[AnyFrame]:
        """Give the frames that wait and that somebody takes.

        Args:
            sieve: Says who takes which, and keeps it, as :meth:`FrameBuffer.decode` says.
            limit: How many messages to read at most, from 1.

        Raises:
            OSError: As :meth:`receive`.
        """
        buffer = self._buffer
        buffer.limit = min(limit, buffer.capacity)
        try:
            return self._receive(sieve)
        finally:
            buffer.limit = buffer.capacity

    def _receive(self, sieve: Sieve[Any]) -> list[AnyFrame]:
        try:
            count = self._fill(self._buffer)
        except OSError as error:
            raise self._failed_to_receive(error) from None
        self.last_count = count
        self._behind = count == self._buffer.limit
        refused = sieve.refused
        frames = self._decode(count, self._names, self.interface, sieve)
        count -= sieve.refused - refused
        self.malformed += count - len(frames)
        self.received += len(frames)
        return frames

    def is_behind(self) -> bool:
        """Tell whether more may wait than the last receive call had room for."""
        return self._behind

    def receive_last(self) -> list[AnyFrame]:
        """Give what waits still once the interface was removed: nobody reads after that is told."""
        frames: list[AnyFrame] = []
        with suppress(OSError):  # nothing waits any more
            for _ in range(_LAST_BATCHES):
                frames += self.receive()
        return frames

    def _failed_to_receive(self, error: OSError) -> OSError:
        """Give what to raise when a receive call failed."""
        self._behind = False
        if isinstance(error, BlockingIOError):
            return error
        self._told_down = True
        return self._explain_pending(error)

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


def _repeatable(filters: FilterArgument | None) -> FilterArgument | None:
    return list(filters) if isinstance(filters, Iterator) else filters


def _to_one_interface(frames: Sequence[AnyFrame]) -> Sequence[AnyFrame]:
    """Give the first frames that go to the same interface as the very first."""
    interface = getattr(frames[0], "interface", None)
    for position, frame in enumerate(frames):
        if getattr(frame, "interface", None) != interface:
            return frames[:position]
    return frames
