"""A CAN_ISOTP socket."""

from __future__ import annotations

import errno
import sys
from functools import partial
from struct import Struct, pack
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.engine.isotp import IsotpConnection
from anycan.engine.isotp_settings import IsotpSettings
from anycan.engine.isotp_transmission import TransmissionState
from anycan.frame import EFF_FLAG, EFF_MASK, FDF, RTR_FLAG, SFF_MASK
from anycan.network.core.payload import CLASSICAL, FLEXIBLE, charge_of_data
from anycan.network.core.socket import SocketCore
from anycan.network.core.socket_options import SocketOptions
from anycan.wire import constants
from anycan.wire.constants import AF_CAN, SOL_CAN_ISOTP
from anycan.wire.isotp import (
    BROADCAST,
    FlowControlOptions,
    IsotpOptions,
    LinkLayerOptions,
    unpack_isotp_address,
)
from anycan.wire.options import pack_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.core.interface import Interface
    from anycan.network.core.stack import Stack
    from anycan.wire.messages import MessageBuffer

_SOCK_DGRAM: Final = 2  # linux/net.h
_LEAST_ADDRESS: Final = 16  # linux/can/isotp.h: up to the identifiers
_GREATEST_ADDRESS: Final = 128  # linux/socket.h: struct sockaddr_storage
_HEAD: Final = Struct("=IBBxx")  # of can_frame and canfd_frame: identifier, length, flags
_BROADCAST: Final = int(BROADCAST)
_IDLE: Final = TransmissionState.IDLE


class IsotpSocketCore(SocketCore):
    """A CAN_ISOTP socket, without a descriptor.

    Args:
        stack: The network's interfaces.
        changed: Called when the socket may have become readable or writable, or no longer is.
        settings: How it behaves, before options are set; None: as the kernel's.
    """

    def __init__(
        self,
        stack: Stack,
        changed: Callable[[], object],
        settings: IsotpSettings | None = None,
    ) -> None:
        super().__init__(stack, changed, SocketOptions(_SOCK_DGRAM), errno.EINVAL)
        self._clock = stack.clock
        self._stamp_ns = stack.clock.stamp_ns
        self.now = stack.clock.now
        self._settings = settings or IsotpSettings(maximum_pdu=stack.maximum_pdu)
        self._listeners: list[_Listener] = []
        self._bound = False
        self._configure(0)
        self.connection = IsotpConnection(self, stack.timers, self._settings)

    @property
    def writable(self) -> bool:
        """Whether poll would say so: nothing is being sent, or an error waits."""
        return self.connection.transmission.state is _IDLE or self._error != 0

    # Binding

    def bind(self, address: bytes) -> None:
        """Bind to the interface and the identifiers in a ``struct sockaddr_can``.

        Raises:
            OSError: EINVAL, ENODEV or EADDRNOTAVAIL.
        """
        receives = not self._settings.options.flags & _BROADCAST
        index, rx_id, tx_id = _checked(address, receives=receives)
        if self._bound:
            raise failure(errno.EINVAL)
        if receives and rx_id == tx_id:
            raise failure(errno.EADDRNOTAVAIL)
        interface = self._stack.by_index.get(index)
        if interface is None:
            raise failure(errno.ENODEV)
        if interface.mtu < self._settings.link_layer.mtu:
            raise failure(errno.EINVAL)
        self._interface = interface
        self._configure(tx_id)
        self.connection.configure()
        if receives:
            self._listeners.append(_Listener(interface, rx_id, self._kind, self._hear))
        self._listeners.append(_Listener(interface, tx_id, self._kind, self._hear_echo))
        interface.bound[self] = None
        self._bound = True
        if not interface.up:
            self._fail(errno.ENETDOWN)

    def _configure(self, tx_id: int) -> None:
        """Make the heads of the frames that will be sent."""
        flexible = self._settings.flexible
        self._word = tx_id
        self._kind = FLEXIBLE if flexible else CLASSICAL
        self._size = 64 if flexible else 8
        flags = self._settings.link_layer.tx_flags | FDF if flexible else 0
        self._heads = [_HEAD.pack(tx_id, length, flags) for length in range(self._size + 1)]

    def connect(self, _address: bytes) -> None:
        """Refuse to be connected: it is bound.

        Raises:
            OSError: EOPNOTSUPP.
        """
        raise failure(errno.EOPNOTSUPP)

    # What happens to the interface

    def link_down(self) -> None:
        """Take note that the interface went down."""
        self._fail(errno.ENETDOWN)

    def interface_removed(self) -> None:
        """Take note that the interface is gone: the socket is not bound any more."""
        self._leave()
        self._fail(errno.ENODEV)

    def _leave(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._interface is not None:
            self._interface.bound.pop(self, None)
        self._interface = None
        self._bound = False

    # Options

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option.

        Raises:
            OSError: EINVAL, EISCONN or ENOPROTOOPT.
        """
        if level != SOL_CAN_ISOTP:
            super().setsockopt(level, option, value)
            return
        if self._bound:
            raise failure(errno.EISCONN)
        size = _SIZES.get(option)
        if size is None:
            raise failure(errno.ENOPROTOOPT)
        if len(value) != size:
            raise failure(errno.EINVAL)
        if not self._set(option, value):
            raise failure(errno.EINVAL)

    def _set(self, option: int, value: bytes) -> bool:
        """Set an option of the level SOL_CAN_ISOTP; tell whether the value is possible."""
        settings = self._settings
        match option:
            case constants.CAN_ISOTP_OPTS:
                return settings.set_options(IsotpOptions.unpack(value))
            case constants.CAN_ISOTP_RECV_FC:
                settings.flow_control = FlowControlOptions.unpack(value)
            case constants.CAN_ISOTP_TX_STMIN:
                settings.tx_stmin = _unsigned(value)
            case constants.CAN_ISOTP_RX_STMIN:
                settings.rx_stmin = _unsigned(value)
            case _:
                link_layer = LinkLayerOptions.unpack(value)
                if not link_layer.possible:
                    return False
                settings.link_layer = link_layer
        return True

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of an option, ``size`` at most.

        Raises:
            OSError: EINVAL or ENOPROTOOPT.
        """
        if level != SOL_CAN_ISOTP:
            return super().getsockopt(level, option, size)
        settings = self._settings
        match option:
            case constants.CAN_ISOTP_OPTS:
                value = settings.options.pack()
            case constants.CAN_ISOTP_RECV_FC:
                value = settings.flow_control.pack()
            case constants.CAN_ISOTP_TX_STMIN:
                value = pack("=I", settings.tx_stmin)
            case constants.CAN_ISOTP_RX_STMIN:
                value = pack("=I", settings.rx_stmin)
            case constants.CAN_ISOTP_LL_OPTS:
                value = settings.link_layer.pack()
            case _:
                raise failure(errno.ENOPROTOOPT)
        return value[:size]

    # Sending

    def send(self, payload: bytes, _address: bytes | None, _now_ns: int) -> None:
        """Send a PDU.

        Raises:
            OSError: As ``docs/explanation/parity.md`` says, in the kernel's order.
        """
        if not self._bound:
            raise failure(errno.EADDRNOTAVAIL)
        transmission = self.connection.transmission
        transmission.check(len(payload))
        self._take_error()
        self._clock.attend()
        transmission.start(payload)
        self._changed()

    def released(self, size: int) -> None:
        """Take note that the device has let go of a frame: it is charged to nobody."""

    # What the connection asks for

    def frame_of(self, data: bytes) -> bytes:
        """Give the bytes of a frame."""
        return self._heads[len(data)] + data.ljust(self._size, b"\0")

    def transmit(self, data: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: ENXIO, EMSGSIZE, ENETDOWN or ENOBUFS.
        """
        interface = self._interface
        if interface is None:
            raise failure(errno.ENXIO)
        prepared = (self.frame_of(data), self._kind, self._word, len(data))
        interface.transmit_again(prepared, self, self._stamp_ns)

    def answer(self, data: bytes) -> None:
        """Send a frame once the one that is received now has reached all."""
        self._stack.afterwards.calls.append(partial(self.go_on, data))

    def look(self) -> None:
        """Do nothing: what is received is handed on at once."""

    def go_on(self, data: bytes) -> None:
        """Send a frame of a PDU that has begun; that it is refused interests nobody."""
        try:  # noqa: SIM105 - contextlib.suppress takes as long as all the rest
            self.transmit(data)
        except OSError:
            pass

    def deliver_pdu(self, pdu: bytes, stamp_ns: int) -> None:
        """Queue a PDU for the user."""
        index = self._interface.index if self._interface is not None else 0
        self._put(pdu, index, 0, stamp_ns, charge_of_data(len(pdu)))

    def fail(self, number: int) -> None:
        """Keep an error for the user."""
        self._fail(number)

    def idle(self) -> None:
        """Take note that another PDU can be sent."""
        self._changed()

    # Receiving

    def _hear(self, payload: bytes, _sender: object, now_ns: int) -> None:
        self.connection.receive(payload[8:], payload[4], now_ns)

    def _hear_echo(self, payload: bytes, sender: object, _now_ns: int) -> None:
        if sender is self:
            self.connection.transmission.echo(payload[8:])

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with the PDUs that wait.

        Returns:
            How many were stored, from 1.

        Raises:
            OSError: EADDRNOTAVAIL, the pending error, or EAGAIN.
        """
        if not self._bound:
            raise failure(errno.EADDRNOTAVAIL)
        return super().receive(buffer)

    def close(self) -> None:
        """Stop what is being sent, and forget what waits. It is of no use after that."""
        self.connection.close()
        self._leave()
        super().close()


_SIZES: Final = {
    constants.CAN_ISOTP_OPTS: len(IsotpOptions().pack()),
    constants.CAN_ISOTP_RECV_FC: len(FlowControlOptions().pack()),
    constants.CAN_ISOTP_TX_STMIN: len(pack_integer(0)),
    constants.CAN_ISOTP_RX_STMIN: len(pack_integer(0)),
    constants.CAN_ISOTP_LL_OPTS: len(LinkLayerOptions().pack()),
}


def _unsigned(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _checked(address: bytes, *, receives: bool) -> tuple[int, int, int]:
    """Give the interface, ``rx_id`` and ``tx_id`` in a ``struct sockaddr_can``."""
    if not _LEAST_ADDRESS <= len(address) <= _GREATEST_ADDRESS:
        raise failure(errno.EINVAL)
    family, index, rx_id, tx_id = unpack_isotp_address(address)
    if family != AF_CAN or not _is_identifier(tx_id) or (receives and not _is_identifier(rx_id)):
        raise failure(errno.EINVAL)
    if not index:
        raise failure(errno.ENODEV)
    return index, rx_id, tx_id


def _is_identifier(can_id: int) -> bool:
    """Tell whether a number is an identifier, with no flag but the one for 29 bits."""
    return can_id & ~(EFF_FLAG | EFF_MASK if can_id & EFF_FLAG else SFF_MASK) == 0


class _Listener:
    """A socket's place in an interface's receive lists, for one identifier.

    Args:
        interface: The interface.
        word: The identifier, with its flag.
        kind: The frames that are wanted.
        hear: Called with the payload, its sender and its stamp.
    """

    joined = 0

    def __init__(
        self,
        interface: Interface,
        word: int,
        kind: int,
        hear: Callable[[bytes, object, int], object],
    ) -> None:
        self._lists = interface.lists
        self._word = word
        self._mask = (EFF_MASK if word & EFF_FLAG else SFF_MASK) | EFF_FLAG | RTR_FLAG
        self._kind = kind
        self._hear = hear
        self._lists.register(word, self._mask, self)

    def deliver(
        self, payload: bytes, kind: int, word: int, _ifindex: int, sender: object, now_ns: int
    ) -> None:
        """Take a frame that passed the filter, if it is of the kind that is wanted."""
        if kind == self._kind and word == self._word:
            self._hear(payload, sender, now_ns)

    def close(self) -> None:
        """Give the place up."""
        self._lists.unregister(self._word, self._mask, self)
