"""ISO-TP over a raw socket: the engine of the user-space network, on a bus of any network.

It is a network of one interface and one socket. What that interface sends goes out by the raw
socket, and what the raw socket receives comes in by it; so this is the same ISO-TP as that of a
user-space network, and what is above cannot tell it from a socket of the kernel's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from anycan.endpoints.pacing import Pacer
from anycan.endpoints.registration import Registration
from anycan.engine.isotp_settings import IsotpSettings
from anycan.filter import CanFilter
from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK
from anycan.network.core.device import Device, Transmit
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
    SO_SNDBUF,
    SOL_SOCKET,
)
from anycan.wire.isotp import unpack_isotp_address
from anycan.wire.messages import MessageBuffer, pack_address
from anycan.wire.options import pack_filters, pack_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.base import Network
    from anycan.network.core.interface import Interface
    from anycan.sockets.descriptor import Descriptor

_RECEIVE_BATCH: Final = 128
_SEND_BATCH: Final = 64
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
        self._bridge.socket = IsotpSocketCore(self._stack, changed, self._settings)
        return self._bridge.socket

    @property
    def overflows(self) -> int:
        """How many PDUs were refused because they are too long."""
        return self._bridge.socket.connection.reception.overflows

    def bind(self, address: bytes) -> None:
        """Bind to the interface and the identifiers in a ``struct sockaddr_can``."""
        _, index, rx_id, tx_id = unpack_isotp_address(address)
        mtu = self._network.interface_mtu(index)
        if mtu is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        name = self._network.interface_name(index) or str(index)
        interface = self._stack.add(name, self._bridge, mtu, index)
        interface.set_up()
        super().bind(address)
        self._configure_raw(rx_id, tx_id)
        self._raw.bind(pack_address(index))
        self._bridge.begin(interface)

    def _configure_raw(self, rx_id: int, tx_id: int) -> None:
        setter = OptionSetter(self._raw, None)
        filters = [_exactly(word) for word in {rx_id, tx_id} if word]
        setter.set(CAN_RAW_FILTER, pack_filters(filters), "CAN_RAW_FILTER", "2.6.25")
        setter.set(CAN_RAW_RECV_OWN_MSGS, pack_integer(1), "CAN_RAW_RECV_OWN_MSGS", "2.6.25")
        if self._settings.flexible:
            setter.set(CAN_RAW_FD_FRAMES, pack_integer(1), "CAN_RAW_FD_FRAMES", "3.6")
        setter.stamp_messages()
        setter.set_receive_buffer(None)
        # The least there is: that it is full is seen before the interface's queue is.
        setter.set(SO_SNDBUF, pack_integer(0), "SO_SNDBUF", "2.0", SOL_SOCKET)

    def close(self) -> None:
        """Close both sockets: what is being sent is not sent further."""
        self._bridge.close()
        super().close()
        self._raw.close()


def _exactly(word: int) -> CanFilter:
    return CanFilter(word, (EFF_MASK if word & EFF_FLAG else SFF_MASK) | EFF_FLAG | RTR_FLAG)


class _Bridge(Device):
    """The device whose bus is a raw socket.

    Args:
        raw: The raw socket.
        stack: The network that the device is of.

    Attributes:
        socket: The network's only socket.
    """

    socket: IsotpSocketCore

    def __init__(self, raw: Descriptor, stack: Stack) -> None:
        self._raw = raw
        self._stack = stack
        self._interface: Interface | None = None
        self._buffer = MessageBuffer(_RECEIVE_BATCH, CANFD_MTU)
        self._outgoing: deque[bytes] = deque()
        self._reading = False
        self._pacer = Pacer()
        self._retry = stack.timers.timer(self._try_again)
        self._pump: _AsyncioPump | _TrioPump | None = None

    def supports_mtu(self, mtu: int) -> bool:  # noqa: ARG002 - the real one has it already
        """Tell whether the device can have that MTU."""
        return True

    def begin(self, interface: Interface) -> None:
        """Begin to read."""
        self._interface = interface
        self._pump = _open_pump(self._raw.fileno(), self._read)

    # Out

    def transmit(self, payload: bytes) -> Transmit:
        """Take a frame."""
        if self._reading or self._outgoing:
            self._outgoing.append(payload)
        else:
            try:
                self._raw.send([payload])
            except OSError as error:
                self._wait_for_room(error)
                self._outgoing.append(payload)
        return Transmit.TAKEN

    def stop(self) -> None:
        """Forget the frames that were not sent."""
        self._outgoing.clear()
        self._retry.cancel()

    def _wait_for_room(self, error: OSError) -> None:
        if error.errno not in {errno.EAGAIN, errno.ENOBUFS}:
            raise error
        self._retry.start(self.socket.now() + round(self._pacer.delay() * _SECOND))

    def _try_again(self, _due: int, _now: int) -> None:
        self._flush()

    def _flush(self) -> None:
        """Send what waits, a batch with each call."""
        outgoing = self._outgoing
        try:
            while outgoing:
                count = self._raw.send(list(islice(outgoing, _SEND_BATCH)))
                self._pacer.progress()
                for _ in range(count):
                    outgoing.popleft()
        except OSError as error:
            try:
                self._wait_for_room(error)
            except OSError as refusal:
                outgoing.clear()  # whoever waits for them finds out by the time
                self._fail(refusal.errno or 0)

    # In

    def _read(self) -> bool:
        """Read a batch of frames; tell whether the descriptor may go on being polled."""
        try:
            count = self._raw.receive(self._buffer)
        except BlockingIOError:
            return True
        except OSError as error:
            self._fail(error.errno or 0)
            return False
        interface = self._interface
        if interface is None:
            return True
        self._reading = True
        try:
            for payload, _, flags, stamp_ns in self._buffer.received(count):
                if flags & MSG_CONFIRM:
                    interface.echoed(payload, self.socket, stamp_ns or 0)
                else:
                    interface.receive(payload, stamp_ns or 0)
        finally:
            self._reading = False
            if self._outgoing and self._retry.deadline is None:
                self._flush()
        return True

    def _fail(self, number: int) -> None:
        """Pass on what happened to the interface."""
        interface = self._interface
        if interface is None:
            return
        if number == errno.ENETDOWN:
            interface.set_down()
            interface.set_up()  # it takes frames as soon as the real one does
        elif number == errno.ENODEV:
            self._interface = None
            self._stack.remove(interface)
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


def _open_pump(fd: int, read: Callable[[], bool]) -> _AsyncioPump | _TrioPump:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _TrioPump(sys.modules["trio"], fd, read)
    return _AsyncioPump(loop, fd, read)


class _AsyncioPump:
    """Has asyncio's loop read.

    Args:
        loop: The loop.
        fd: The descriptor.
        read: Reads; tells whether it goes on being polled, or has to be registered anew.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, read: Callable[[], bool]) -> None:
        self._read = read
        self._registration = Registration(loop, fd, self._on_readable)
        self._registration.start_reading()

    def _on_readable(self) -> None:
        if not self._read():
            self._registration.renew()

    def close(self) -> None:
        self._registration.close()


class _TrioPump:
    """Has a task of trio's own read.

    Args:
        trio: The module; anycan does not depend on it.
        fd: The descriptor.
        read: Reads.
    """

    def __init__(self, trio: Any, fd: int, read: Callable[[], bool]) -> None:
        self._trio = trio
        self._fd = fd
        self._read = read
        self._scope = trio.CancelScope()
        self._open = True
        trio.lowlevel.spawn_system_task(self._run)

    async def _run(self) -> None:
        with self._scope:
            while self._open:
                with suppress(self._trio.ClosedResourceError):
                    await self._trio.lowlevel.wait_readable(self._fd)
                if self._open:
                    self._read()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._scope.cancel()
            self._trio.lowlevel.notify_closing(self._fd)
