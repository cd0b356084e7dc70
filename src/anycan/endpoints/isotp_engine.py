"""ISO-TP over a raw socket: the engine of the user-space network, on a bus of any network.

It is the socket of a user-space network of its own, whose frames go and come by a raw socket of the
real network. So this is the same ISO-TP, and what is above cannot tell it from a socket of the
kernel's.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import filterfalse, islice
from typing import TYPE_CHECKING, Final

from anycan.endpoints.pacing import Pacer
from anycan.engine.failure import failure
from anycan.engine.isotp_settings import IsotpSettings
from anycan.filter import CanFilter
from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK
from anycan.loops.pump import open_pump
from anycan.network.core.device import NetworkDevice, TransmitResult
from anycan.network.core.isotp import IsotpSocketCore
from anycan.network.core.stack import Stack
from anycan.network.driver import LoopDriver
from anycan.sockets.networks import open_descriptor
from anycan.sockets.options import OptionSetter
from anycan.sockets.user import UserDescriptor
from anycan.wire.constants import (
    CAN_RAW,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_FILTER,
    CAN_RAW_RECV_OWN_MSGS,
    CANFD_MTU,
    MSG_CONFIRM,
    SK_MEMINFO_DROPS,
    SK_MEMINFO_VARS,
    SO_ERROR,
    SO_MEMINFO,
    SO_SNDBUF,
    SOL_SOCKET,
)
from anycan.wire.isotp import BROADCAST, FLOW_CONTROL, IsotpFlag, unpack_isotp_address
from anycan.wire.messages import MessageBuffer, pack_address
from anycan.wire.options import pack_filters, pack_integer, unpack_integers

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.loops.pump import AsyncioPump, TrioPump
    from anycan.network.base import Network
    from anycan.network.core.interface import Interface
    from anycan.sockets.descriptor import Descriptor

_RECEIVE_BATCH: Final = 128
_SEND_BATCH: Final = 64
_BATCHES: Final = 4  # read in a row, where there are _BUSY frames in each: answers to answers
_BUSY: Final = 4
_WINDOW: Final = 15  # frames on their way: one of each sequence number, but one
_SECOND: Final = 1_000_000_000


class EngineDescriptor(UserDescriptor):
    """An ISO-TP socket whose protocol is spoken here: a :class:`Descriptor` like any other.

    Args:
        network: Where the interface is.
        strict: Speak it as ISO 15765-2 has it, where the kernel does otherwise.
        maximum_pdu: The most bytes in a PDU.

    Raises:
        ProtocolUnavailableError: The network has no raw sockets.
    """

    def __init__(self, network: Network, maximum_pdu: int, *, strict: bool) -> None:
        self._network = network
        self._frames_dropped = 0
        self._raw = open_descriptor(network, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self._settings = IsotpSettings(
            maximum_pdu=maximum_pdu, strict=strict, window=_WINDOW, frame_txtime=0
        )
        driver = LoopDriver(time.time_ns)
        self._stack = Stack(driver, maximum_pdu)
        driver.drive(self._stack.timers)
        self._bridge = _Bridge(self._raw, self._stack)
        try:
            super().__init__(self._open)
        except BaseException:
            self._raw.close()
            raise

    def _open(self, changed: Callable[[], object]) -> IsotpSocketCore:
        bridge = self._bridge
        bridge.socket = _BridgedSocket(self._stack, changed, self._settings, bridge)
        return bridge.socket

    @property
    def frames_dropped(self) -> int:
        """How many frames were lost because the raw socket's receive buffer was full."""
        size = 4 * SK_MEMINFO_VARS
        with suppress(OSError):  # closed, or a kernel before 4.12
            value = self._raw.getsockopt(SOL_SOCKET, SO_MEMINFO, size)
            self._frames_dropped = unpack_integers(value)[SK_MEMINFO_DROPS]
        return self._frames_dropped

    def bind(self, address: bytes) -> None:
        """Bind to the interface and the identifiers in a ``struct sockaddr_can``.

        As on the kernel that can be done again once the interface is gone; here it need not have
        been noticed.
        """
        _, index, rx_id, tx_id = unpack_isotp_address(address)
        mtu = self._network.interface_mtu(index)
        if mtu is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self._forget_interface()
        name = self._network.interface_name(index) or str(index)
        interface = self._stack.add(name, self._bridge, mtu, index)
        interface.set_up()
        super().bind(address)
        receives = not self._settings.options.flags & BROADCAST
        self._configure_raw({rx_id, tx_id} if receives else {tx_id})
        self._raw.bind(pack_address(index))
        self._bridge.begin(interface, rx_id if receives else None, self._settings)

    def _forget_interface(self) -> None:
        """Forget the interface of which the socket was bound before, and what was told of it."""
        self._bridge.lose()
        for interface in list(self._stack.by_index.values()):
            self._stack.remove(interface)
        self._raw.getsockopt(SOL_SOCKET, SO_ERROR, 4)

    def _configure_raw(self, words: set[int]) -> None:
        setter = OptionSetter(self._raw, None)
        filters = [_exactly(word) for word in words]
        setter.set(CAN_RAW_FILTER, pack_filters(filters), "CAN_RAW_FILTER", "2.6.25")
        setter.set(CAN_RAW_RECV_OWN_MSGS, pack_integer(1), "CAN_RAW_RECV_OWN_MSGS", "2.6.25")
        if self._settings.flexible:
            setter.set(CAN_RAW_FD_FRAMES, pack_integer(1), "CAN_RAW_FD_FRAMES", "3.6")
        if _needs_stamps(self._settings):
            setter.stamp_messages()
        setter.set_receive_buffer(None)
        # The least there is: that it is full is seen before the interface's queue is.
        setter.set(SO_SNDBUF, pack_integer(0), "SO_SNDBUF", "2.0", SOL_SOCKET)

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with what waits; its frames may wait in the raw socket still."""
        try:
            return super().receive(buffer)
        except BlockingIOError:
            self._bridge.look()
            return super().receive(buffer)

    def close(self) -> None:
        """Close both sockets: what is being sent is not sent further."""
        self._bridge.close()
        super().close()
        self._raw.close()


def _needs_stamps(settings: IsotpSettings) -> bool:
    """Tell whether it counts when frames were received."""
    return settings.options.flags & IsotpFlag.FORCE_RXSTMIN != 0


def _exactly(word: int) -> CanFilter:
    return CanFilter(word, (EFF_MASK if word & EFF_FLAG else SFF_MASK) | EFF_FLAG | RTR_FLAG)


class _BridgedSocket(IsotpSocketCore):
    """An ISO-TP socket whose frames do not go by its interface, but by a raw socket.

    Args:
        stack: The network that it is on.
        changed: Called when it may have become readable or writable, or no longer is.
        settings: How it behaves.
        bridge: Has the raw socket.
    """

    def __init__(
        self,
        stack: Stack,
        changed: Callable[[], object],
        settings: IsotpSettings,
        bridge: _Bridge,
    ) -> None:
        super().__init__(stack, changed, settings)
        self._bridge = bridge
        self._pass_on = bridge.send
        self.now = bridge.now

    def transmit(self, data: bytes) -> None:
        """Send a PDU's first frame, unless there is no room."""
        if not self._bound:
            raise failure(errno.ENXIO)
        self._bridge.send_first(self.frame_of(data))

    def go_on(self, data: bytes) -> None:
        """Send a frame that answers another one, or goes on with a PDU, when there is room."""
        self._pass_on(self.frame_of(data))

    answer = go_on

    def look(self) -> None:
        """Read what waits."""
        self._bridge.look()

    def idle(self) -> None:
        """Take note that another PDU can be sent: what is left of the last one is not."""
        self._bridge.forget_data()
        super().idle()

    def deliver_pdu(self, pdu: bytes, stamp_ns: int) -> None:
        """Queue a PDU for the user."""
        super().deliver_pdu(pdu, stamp_ns or self._stamp_ns())


class _Bridge(NetworkDevice):
    """Between a raw socket and the only socket of a network; as a device it carries nothing.

    Args:
        raw: The raw socket.
        stack: The network.

    Attributes:
        socket: The network's only socket.
    """

    socket: _BridgedSocket

    def __init__(self, raw: Descriptor, stack: Stack) -> None:
        self._raw = raw
        self._stack = stack
        self._clock = stack.clock
        self._interface: Interface | None = None
        self._buffer = MessageBuffer(_RECEIVE_BATCH, CANFD_MTU)
        self._stamped = False
        self._peer: bytes | None = None
        self._control = 8  # where in a frame its kind stands
        self._outgoing: deque[bytes] = deque()
        self._reading = False
        self._time = 0
        self._pacer = Pacer()
        self._retry = stack.timers.timer(self._try_again)
        self._pump: AsyncioPump | TrioPump | None = None

    def supports_mtu(self, mtu: int) -> bool:  # noqa: ARG002 - the real one has it already
        """Tell whether the device can have that MTU."""
        return True

    def transmit(self, payload: bytes) -> TransmitResult:  # noqa: ARG002 - see the class
        """Take a frame."""
        return TransmitResult.SENT

    def begin(self, interface: Interface, rx_id: int | None, settings: IsotpSettings) -> None:
        """Begin to read, or go on with it, bound again.

        Args:
            interface: The network's only interface.
            rx_id: The identifier of the peer's frames, with its flag; None: there is none.
            settings: How the socket behaves.
        """
        self._interface = interface
        self._peer = None if rx_id is None else rx_id.to_bytes(4, sys.byteorder)
        self._control = 8 + settings.address_size
        self._buffer = MessageBuffer(_RECEIVE_BATCH, settings.link_layer.mtu)
        self._stamped = _needs_stamps(settings)
        if self._pump is None:
            self._pump = open_pump(self._raw.fileno(), self._read)
        else:
            self._pump.renew()

    def lose(self) -> None:
        """Take note that the raw socket's interface is gone, if there was one."""
        self._outgoing.clear()
        interface, self._interface = self._interface, None
        if interface is not None:
            self._stack.remove(interface)

    def now(self) -> int:
        """Give the time; while a batch is read it stands still."""
        return self._time if self._reading else self._clock.now()

    # Out

    def send_first(self, payload: bytes) -> None:
        """Send a PDU's first frame, or none of it.

        Raises:
            OSError: It is refused; EAGAIN or ENOBUFS: there is no room.
        """
        if self._outgoing:
            raise failure(errno.EAGAIN)
        self._raw.send([payload])

    def send(self, payload: bytes) -> None:
        """Send a frame, or keep it until what is read has been read, or there is room."""
        self._outgoing.append(payload)
        if len(self._outgoing) == 1 and not self._reading:
            self._flush()

    def forget_data(self) -> None:
        """Forget what waits to be sent of a PDU, but not the flow control for another one."""
        if self._outgoing:
            self._outgoing = deque(filter(self._is_flow_control, self._outgoing))

    def _is_flow_control(self, payload: bytes) -> bool:
        return payload[self._control] & 0xF0 == FLOW_CONTROL

    def _forget_old_flow_control(self) -> None:
        """Keep the newest alone: whoever is on the bus chooses how much is to be answered."""
        answers = list(filter(self._is_flow_control, self._outgoing))
        if len(answers) > 1:
            self._outgoing = deque(filterfalse(self._is_flow_control, self._outgoing))
            self._outgoing.append(answers[-1])

    def look(self) -> None:
        """Read what waits, before a timeout counts."""
        if self._interface is not None and not self._reading:
            self._read()

    def _wait_for_room(self, error: OSError) -> None:
        if error.errno not in {errno.EAGAIN, errno.ENOBUFS}:
            raise error
        self._forget_old_flow_control()
        self._retry.start(self._clock.now() + round(self._pacer.delay() * _SECOND))

    def _try_again(self, _due: int, _now: int) -> None:
        self._flush()

    def _flush(self) -> None:
        """Send what waits, a batch with each call."""
        try:
            while self._outgoing:
                count = self._raw.send(list(islice(self._outgoing, _SEND_BATCH)))
                self._pacer.progress()
                for _ in range(count):
                    self._outgoing.popleft()
        except OSError as error:
            try:
                self._wait_for_room(error)
            except OSError as refusal:
                self._fail(refusal.errno or 0)

    # In

    def _read(self) -> bool:
        """Read some batches of frames; tell whether the descriptor may go on being polled.

        Where nothing was to be read, a send call may have taken an error that was: see
        :mod:`~anycan.loops.registration`.
        """
        for batch in range(_BATCHES):
            try:
                count = self._raw.receive(self._buffer)
            except BlockingIOError:
                return batch > 0
            except OSError as error:
                self._fail(error.errno or 0)
                return False
            self._take(count)
            if count < _BUSY:
                break
        return True

    def _take(self, count: int) -> None:
        """Hand on a batch, and send what answers it."""
        self._time = self._clock.now()
        self._reading = True
        try:
            self._hand_on(count)
        finally:
            self._reading = False
            if self._retry.deadline is not None:
                self._forget_old_flow_control()
            elif self._outgoing:
                self._flush()

    def _hand_on(self, count: int) -> None:
        buffer, peer, connection = self._buffer, self._peer, self.socket.connection
        size = buffer.payload_size
        if self._stamped:
            for payload, _, flags, stamp_ns in buffer.received(count):
                if flags & MSG_CONFIRM:
                    connection.transmission.echo(payload[8:])
                elif payload[:4] == peer and len(payload) == size:
                    connection.receive(payload[8:], payload[4], stamp_ns or 0)
            return
        echo, receive = connection.transmission.echo, connection.receive
        for (payload,), (_, flags, length) in buffer.payloads(count):
            if flags & MSG_CONFIRM:
                echo(payload[8:])
            elif payload[:4] == peer and length == size:
                receive(payload[8:], payload[4], 0)

    def _fail(self, number: int) -> None:
        """Pass on what happened to the interface."""
        self._outgoing.clear()  # whoever waits for these finds out by the time
        interface = self._interface
        if interface is None:
            return
        if number == errno.ENETDOWN:
            interface.set_down()
            interface.set_up()  # it takes frames as soon as the real one does
        elif number in {errno.ENODEV, errno.ENXIO}:  # the latter once the first has been taken
            self.lose()
        else:
            self.socket.fail(number)

    def close(self) -> None:
        """Read no more."""
        if self._pump is not None:
            self._pump.close()
            self._pump = None
        self._interface = None
        self._outgoing.clear()
        self._retry.discard()
