"""A raw CAN socket of any network: typed options, batches of frames, errors explained."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.exceptions import FilterError
from anycan.filter import CanFilter, Filter
from anycan.frame import EFF_MASK, ErrorClass, FdFrame, XlFrame
from anycan.sockets.errors import (
    explain_bind,
    explain_option,
    explain_receive,
    explain_send,
    interface_removed,
    unknown_interface,
)
from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import (
    CAN_MTU,
    CAN_RAW,
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_FILTER,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_XL_FRAMES,
    CAN_RAW_XL_VCID_OPTS,
    CANFD_MTU,
    CANXL_MIN_MTU,
    CANXL_MTU,
    SK_MEMINFO_DROPS,
    SK_MEMINFO_VARS,
    SO_MEMINFO,
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
from anycan.wire.frames import encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE, MessageBuffer, pack_address
from anycan.wire.options import (
    VcidOptions,
    pack_filters,
    pack_integer,
    pack_vcid_options,
    unpack_integers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anycan.exceptions import CanOSError
    from anycan.frame import AnyFrame
    from anycan.network.base import Network

RECEIVE_BATCH: Final = 128
SEND_BATCH: Final = 64
RECEIVE_BUFFER: Final = 4 * 1024 * 1024  # some 4,000 frames, half a second of a full 1 Mbit/s bus
_HARDWARE_STAMPS: Final = (
    SOF_TIMESTAMPING_RX_HARDWARE
    | SOF_TIMESTAMPING_RX_SOFTWARE
    | SOF_TIMESTAMPING_SOFTWARE
    | SOF_TIMESTAMPING_RAW_HARDWARE
)


@attrs.frozen(kw_only=True)
class RawOptions:
    """The options of a raw CAN socket; :func:`anycan.open_raw` says what each means."""

    filters: Filter | Iterable[CanFilter] | None = None
    errors: ErrorClass | int = 0
    fd: bool = True
    xl: bool = False
    vcid: VcidOptions | None = None
    loopback: bool = True
    receive_own: bool = False
    join_filters: bool = False
    timestamps: Literal["software", "hardware"] = attrs.field(
        default="software", validator=attrs.validators.in_(("software", "hardware"))
    )
    receive_buffer: int | None = None
    send_buffer: int | None = None

    def __attrs_post_init__(self) -> None:
        if self.xl and not self.fd:
            raise ValueError("a socket that takes CAN XL frames takes CAN FD too: leave fd=True")
        if self.vcid is not None and not self.xl:
            raise ValueError("vcid= is for CAN XL frames: it needs xl=True")


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
        self._told_down = False  # since a frame was last received
        self._dropped = 0
        self._names = _InterfaceNames(network)
        self._buffer = MessageBuffer(
            RECEIVE_BATCH,
            XL_PAYLOAD_SIZE if options.xl else CANFD_MTU if options.fd else CAN_MTU,
            hardware_stamps=options.timestamps == "hardware",
        )
        self._addresses: dict[str | int, bytes] = {}
        filters = _kernel_filters(options.filters)
        # First of all, so that where there is no PF_CAN at all this is what is said.
        self._descriptor = open_descriptor(network, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self.fd = self._descriptor.fileno()
        self._fill = self._descriptor.receive
        self._decode = self._buffer.decode
        try:
            self.index, self.interface = _find_interface(network, interface)
            self._configure(filters)
            self._bind()
        except BaseException:
            self._descriptor.close()
            raise

    def _configure(self, filters: bytes | None) -> None:
        """Set the options; a socket not yet bound receives nothing, so no frame slips through."""
        options = self.options
        if filters is not None:
            self._set(CAN_RAW_FILTER, filters, "CAN_RAW_FILTER", "2.6.25")
        if options.errors:
            self.set_errors(options.errors)
        if not options.loopback:
            self._set(CAN_RAW_LOOPBACK, pack_integer(0), "CAN_RAW_LOOPBACK", "2.6.25")
        if options.receive_own:
            self._set(CAN_RAW_RECV_OWN_MSGS, pack_integer(1), "CAN_RAW_RECV_OWN_MSGS", "2.6.25")
        if options.fd:
            self._set(CAN_RAW_FD_FRAMES, pack_integer(1), "CAN_RAW_FD_FRAMES", "3.6")
        if options.join_filters:
            self._set(CAN_RAW_JOIN_FILTERS, pack_integer(1), "CAN_RAW_JOIN_FILTERS", "4.1")
        if options.xl:
            self._set(CAN_RAW_XL_FRAMES, pack_integer(1), "CAN_RAW_XL_FRAMES", "6.1")
        if options.vcid is not None:
            value = pack_vcid_options(options.vcid)
            self._set(CAN_RAW_XL_VCID_OPTS, value, "CAN_RAW_XL_VCID_OPTS", "6.9")
        if options.timestamps == "hardware":
            value = pack_integer(_HARDWARE_STAMPS)
            self._set(SO_TIMESTAMPING, value, "SO_TIMESTAMPING", "2.6.30", level=SOL_SOCKET)
        else:
            value = pack_integer(1)
            self._set(SO_TIMESTAMPNS, value, "SO_TIMESTAMPNS", "2.6.22", level=SOL_SOCKET)
        self._set(SO_RXQ_OVFL, pack_integer(1), "SO_RXQ_OVFL", "2.6.33", level=SOL_SOCKET)
        # A small send buffer, so that a full one (which poll can see) is met before a full
        # interface queue (which poll cannot see): the least the kernel gives, unless told.
        value = pack_integer(options.send_buffer or 0)
        self._set(SO_SNDBUF, value, "SO_SNDBUF", "2.0", level=SOL_SOCKET)
        self._size_receive_buffer(options.receive_buffer or RECEIVE_BUFFER)

    def _size_receive_buffer(self, size: int) -> None:
        # The kernel doubles the value for its own overhead. The first form goes beyond
        # net.core.rmem_max and needs CAP_NET_ADMIN.
        value = pack_integer(size // 2)
        try:
            self._descriptor.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, value)
        except PermissionError:
            self._set(SO_RCVBUF, value, "SO_RCVBUF", "2.0", level=SOL_SOCKET)

    def _set(
        self,
        option: int,
        value: bytes,
        name: str,
        since: str,
        *,
        level: int = SOL_CAN_RAW,
    ) -> None:
        try:
            self._descriptor.setsockopt(level, option, value)
        except OSError as error:
            raise explain_option(error, self.interface, name, since) from None

    def _bind(self) -> None:
        try:
            self._descriptor.bind(pack_address(self.index))
        except OSError as error:
            exists = self.network.interface_name(self.index) is not None
            raise explain_bind(error, self.interface, exists=exists) from None

    def set_filters(self, filters: Filter | Iterable[CanFilter] | None) -> None:
        """Change which data and remote frames are received; None: all.

        Raises:
            FilterError: There are more than a socket takes; the old ones stay.
        """
        value = _kernel_filters(filters)
        if value is None:
            value = pack_filters(Filter.all().to_kernel())
        self._set(CAN_RAW_FILTER, value, "CAN_RAW_FILTER", "2.6.25")

    def set_errors(self, classes: ErrorClass | int) -> None:
        """Change which classes of error frames are received; 0: none.

        Raises:
            FilterError: The classes are out of range.
        """
        if not 0 <= classes <= EFF_MASK:
            raise FilterError(f"error classes are 0 to 0x1FFFFFFF, not {classes:#x}")
        self._set(CAN_RAW_ERR_FILTER, pack_integer(classes), "CAN_RAW_ERR_FILTER", "2.6.25")

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
        self._told_down = False
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
            interface = frames[0].interface
            frames = _to_one_interface(frames)
        address = None if interface is None else self._address(interface)
        payloads = [encode_frame(frame) for frame in frames]
        try:
            count = self._descriptor.send(payloads, address)
        except OSError as error:
            if error.errno not in {errno.ENETDOWN, errno.ENODEV}:
                raise self._explain_refusal(error, frames[0], interface) from None
            count = self._send_again(error, payloads, address, frames[0], interface)
        self.sent += count
        return count

    def _send_again(
        self,
        error: OSError,
        payloads: Sequence[bytes],
        address: bytes | None,
        frame: AnyFrame,
        interface: str | int | None,
    ) -> int:
        """Send again after what may have been the socket's pending error.

        That one tells of the bound interface's past, and is meant for whoever receives; the next
        send call that comes along gets it instead, and says nothing of this frame. Only a second
        refusal does.
        """
        try:
            count = self._descriptor.send(payloads, address)
        except OSError as second:
            if second.errno != errno.ENETDOWN or not self._told_down:
                self._tell(error)
            raise self._explain_refusal(second, frame, interface) from None
        self._tell(error)
        return count

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
            case errno.ENXIO if interface is not None:
                self._addresses.pop(interface, None)  # it may come back under another index
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


def _ignore(_: CanOSError) -> None:
    """Take a pending error that nobody is there to hear."""


def _find_interface(network: Network, interface: str | int | None) -> tuple[int, str | None]:
    """Give the index and the name of an interface; 0 and None stand for all."""
    if interface is None:
        return 0, None
    if isinstance(interface, str):
        return network.interface_index(interface), interface
    name = network.interface_name(interface)
    if name is None:
        raise unknown_interface(f"of index {interface}")
    return interface, name


def _kernel_filters(filters: Filter | Iterable[CanFilter] | None) -> bytes | None:
    if filters is None:
        return None
    if isinstance(filters, Filter):
        return pack_filters(filters.to_kernel())
    return pack_filters(filters)


def _to_one_interface(frames: Sequence[AnyFrame]) -> Sequence[AnyFrame]:
    """Give the first frames that go to the same interface as the very first."""
    interface = frames[0].interface
    for position, frame in enumerate(frames):
        if frame.interface != interface:
            return frames[:position]
    return frames
