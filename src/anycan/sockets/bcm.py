"""A broadcast manager socket of any network: messages as values, errors explained."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

import attrs

from anycan.exceptions import FrameNotSupportedError
from anycan.frame import FdFrame
from anycan.sockets.closing import finish_in_background
from anycan.sockets.common import CanSocket
from anycan.sockets.errors import (
    explain_bind,
    explain_operation,
    explain_send,
    interface_removed,
)
from anycan.sockets.networks import open_descriptor
from anycan.sockets.options import OptionSetter
from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode
from anycan.wire.constants import CAN_BCM, CAN_MTU, CANFD_MTU, MSG_CONFIRM, MSG_DONTROUTE
from anycan.wire.frames import encode_frame
from anycan.wire.messages import MessageBuffer, pack_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.frame import AnyFrame
    from anycan.network.base import Network
    from anycan.sockets.descriptor import Descriptor

_MODULE: Final = "can-bcm"
_BATCH: Final = 64
_BATCH_BYTES: Final = 1 << 18
_LEAST_PAYLOAD: Final = NATIVE.head_size + CANFD_MTU  # whatever a frame on the bus makes


@attrs.frozen
class BcmNews:
    """A message from the broadcast manager, and what is known of it.

    Attributes:
        message: The message.
        interface: Where what it tells happened; None: it tells of no single one, or of a
            transmission.
        timestamp_ns: When the frame in it was received, else when the message was.
        local: The frame was sent on this host.
        own: The frame was sent by this socket.
    """

    message: BcmMessage
    interface: str | None
    timestamp_ns: int | None
    local: bool
    own: bool


class BcmSocket(CanSocket):
    """A connected broadcast manager socket, non-blocking, on any network.

    Args:
        network: Where the interface is.
        interface: Its name or index; None: all interfaces.
        receive_buffer: Size of the receive buffer in bytes, as the kernel counts; None: 4 MiB.

    Raises:
        UnknownInterfaceError: There is no such interface.
        NotACanInterfaceError: It is no CAN interface.
        ProtocolUnavailableError: The network has no broadcast manager.
    """

    def __init__(
        self, network: Network, interface: str | int | None, receive_buffer: int | None = None
    ) -> None:
        self._buffer = _make_buffer(_LEAST_PAYLOAD)
        self._receive_buffer = receive_buffer
        super().__init__(network, interface, socket.SOCK_DGRAM, CAN_BCM, _MODULE)
        try:
            self._prepare(self._descriptor)
            self._connect()
        except BaseException:
            finish_in_background(self._descriptor.close())
            raise

    def _prepare(self, descriptor: Descriptor) -> None:
        setter = OptionSetter(descriptor, self.interface)
        setter.stamp_messages()
        setter.count_drops()
        setter.set_receive_buffer(self._receive_buffer)

    def _connect(self) -> None:
        try:
            self._descriptor.connect(pack_address(self.index))
        except OSError as error:
            exists = self.network.interface_name(self.index) is not None
            raise explain_bind(error, self.interface, exists=exists) from None

    def renew(self) -> Callable[[], Callable[[], object] | None]:
        """Connect to an interface that has been made anew under the name of the one that is gone.

        By another descriptor, which has no operations. The former one could be connected again, but
        it would keep its operations for the interface that is gone: they cannot be named any more,
        nor deleted, and in the kernel their timers go on for nothing until it is closed.

        Returns:
            What closes the former descriptor, as :meth:`close` does; to be called when nobody polls
            it any more.

        Raises:
            OSError: There is none of that name any more (ENODEV), or it cannot be connected to. All
                is as it was.

        Source: ``net/can/bcm.c``, ``bcm_notify`` and ``bcm_can_tx``.
        """
        index = self.network.interface_index(self.interface or "")
        descriptor = open_descriptor(self.network, socket.SOCK_DGRAM, CAN_BCM, _MODULE)
        try:
            self._prepare(descriptor)
            descriptor.connect(pack_address(index))
        except BaseException:
            finish_in_background(descriptor.close())
            raise
        self._dropped_before = self.dropped
        self._dropped = 0
        former, self._descriptor = self._descriptor, descriptor
        self._buffer = _make_buffer(self._buffer.payload_size)
        self._names.clear()
        self.fd = descriptor.fileno()
        self.index = index
        return former.close

    def receive_last(self) -> list[BcmNews]:
        """Give nothing: reading never rests here, so that nothing has been left to wait."""
        return []

    def receive(self) -> list[BcmNews]:
        """Give the messages that wait, up to a batch; empty when those were malformed.

        Raises:
            BlockingIOError: None waits.
            InterfaceDownError: The interface went down; told once.
            InterfaceRemovedError: The interface is gone; told once.
        """
        buffer = self._buffer
        try:
            count = self._descriptor.receive(buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._explain_pending(error) from None
        news = []
        for payload, index, flags, timestamp_ns in buffer.received(count):
            try:
                message = NATIVE.decode(payload)
            except ValueError:
                self.malformed += 1
                continue
            name = (self.interface or self._names[index]) if index else None
            local, own = flags & MSG_DONTROUTE != 0, flags & MSG_CONFIRM != 0
            news.append(BcmNews(message, name, timestamp_ns, local, own))
        self.received += len(news)
        return news

    def send(self, message: BcmMessage) -> None:
        """Ask for something.

        Raises:
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it for another reason.
        """
        self._make_room(message)
        try:
            self._descriptor.send([NATIVE.encode(message)])
        except OSError as error:
            raise explain_operation(error, self.interface, message.opcode) from None

    def send_frame(self, frame: AnyFrame) -> None:
        """Send a frame once.

        Raises:
            BlockingIOError: The interface's queue is full.
            InterfaceDownError: The interface is down.
            InterfaceRemovedError: The interface is gone.
            FrameNotSupportedError: The interface takes no such frame.
        """
        flags = BcmFlag.CAN_FD_FRAME if isinstance(frame, FdFrame) else 0
        payload = encode_frame(frame)
        message = BcmMessage(BcmOpcode.TX_SEND, flags, frame_count=1, frames=payload)
        try:
            self._descriptor.send([NATIVE.encode(message)])
        except OSError as error:
            raise self._explain_refusal(error, frame) from None

    def _explain_refusal(self, error: OSError, frame: AnyFrame) -> OSError:
        match error.errno:
            case errno.ENOBUFS:
                return BlockingIOError(errno.ENOBUFS, error.strerror)
            case errno.ENOTCONN | errno.ENODEV:
                return interface_removed(self.interface)
        reason = self._why_not_flexible() or f"{self.interface} does not take {frame!r}"
        remedy = self.network.remedy(self.interface or "NAME")
        return explain_send(error, self.interface, reason, remedy)

    def check_flexible(self) -> None:
        """Check that the interface takes CAN FD: a cyclic transmission would fail unheard.

        Raises:
            FrameNotSupportedError: It takes classical CAN alone.
        """
        reason = self._why_not_flexible()
        if reason is not None:
            raise FrameNotSupportedError(errno.EMSGSIZE, reason, self.interface)

    def _why_not_flexible(self) -> str | None:
        """Say why the interface takes no CAN FD frame; None: it does, or is gone."""
        mtu = self.network.interface_mtu(self.index)
        if mtu is None or mtu >= CANFD_MTU:
            return None
        return self._no_flexible(str(self.interface), mtu)

    def _make_room(self, message: BcmMessage) -> None:
        """See to it that what a message sets up can be read back."""
        payload = NATIVE.head_size + max(message.frame_count * message.frame_size, CAN_MTU)
        if payload > self._buffer.payload_size:
            self._buffer = _make_buffer(payload)

    @property
    def _last_drops(self) -> int:
        return self._buffer.drops


def _make_buffer(payload: int) -> MessageBuffer:
    return MessageBuffer(max(1, min(_BATCH, _BATCH_BYTES // payload)), payload)
