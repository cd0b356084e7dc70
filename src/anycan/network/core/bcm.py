"""A CAN_BCM socket."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Final

from anycan.engine.bcm import BroadcastManager
from anycan.engine.failure import failure
from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK
from anycan.network.core.payload import (
    CLASSICAL,
    FLEXIBLE,
    INVALID,
    charge_of_data,
    kind_of,
    prepare,
)
from anycan.network.core.socket import ADDRESS, SocketCore
from anycan.network.core.socket_options import SocketOptions
from anycan.wire.constants import AF_CAN, CANFD_MTU

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.bcm_reception import Reception
    from anycan.network.core.interface import Interface
    from anycan.network.core.payload import Prepared
    from anycan.network.core.receivers import ReceiveLists
    from anycan.network.core.roles import Bound, Taker
    from anycan.network.core.stack import Stack

_SOCK_DGRAM: Final = 2  # linux/net.h
_MOST_PREPARED: Final = 4096  # then all are forgotten: contents change without end


class BcmSocketCore(SocketCore):
    """A CAN_BCM socket, without a descriptor and a clock.

    Args:
        stack: The network's interfaces.
        changed: Called when the socket may have become readable, or no longer is.
    """

    _truncation = 0  # it cuts without a word

    def __init__(self, stack: Stack, changed: Callable[[], object]) -> None:
        super().__init__(stack, changed, SocketOptions(_SOCK_DGRAM), errno.EOPNOTSUPP)
        self._connected = False
        self._clock = stack.clock
        self._interfaces = stack.by_index
        self._stamp_ns = stack.clock.stamp_ns
        self._prepared: dict[bytes, Prepared] = {}  # frames that may be sent again
        self._listeners: dict[Reception, _Listener] = {}
        self._manager = BroadcastManager(self, stack.timers)
        stack.watchers[self] = None

    def bind(self, _address: bytes) -> None:
        """Refuse to be bound: it is connected.

        Raises:
            OSError: EOPNOTSUPP.
        """
        raise failure(errno.EOPNOTSUPP)

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``; index 0: to all.

        Raises:
            OSError: EINVAL, EISCONN or ENODEV.
        """
        if len(address) < ADDRESS.size:
            raise failure(errno.EINVAL)
        if self._connected:
            raise failure(errno.EISCONN)
        _, index = ADDRESS.unpack_from(address)
        interface = self._interfaces.get(index)
        if self._stack.closed or (index and interface is None):
            raise failure(errno.ENODEV)
        self._interface = interface
        self._connected = True
        self._bound_there[self] = None

    @property
    def _bound_there(self) -> dict[Bound, None]:
        interface = self._interface
        return self._stack.any_bound if interface is None else interface.bound

    # What happens to interfaces

    def link_down(self) -> None:
        """Take note that the interface it is connected to went down."""
        self._fail(errno.ENETDOWN)

    def interface_removed(self) -> None:
        """Take note that the interface is gone: the socket is not connected any more."""
        self._leave()
        self._fail(errno.ENODEV)

    def interface_gone(self, interface: Interface) -> None:
        """Take note that some interface is gone: its operations neither send nor hear."""
        self._manager.interface_removed(interface.index)
        for reception in list(self._listeners):
            if reception.interface == interface.index:
                del self._listeners[reception]

    def _leave(self) -> None:
        self._bound_there.pop(self, None)
        self._interface = None
        self._connected = False

    # Sending

    def send(self, payload: bytes, address: bytes | None, _now_ns: int) -> None:
        """Take a message for the broadcast manager.

        Args:
            payload: Its bytes.
            address: ``struct sockaddr_can`` of the interface it is about, which counts on a socket
                that is connected to all; None: the one it is connected to.

        Raises:
            OSError: As ``docs/explanation/parity.md`` says, in the kernel's order.
        """
        if not self._connected:
            raise failure(errno.ENOTCONN)
        self._clock.attend()
        index = self._interface.index if self._interface is not None else 0
        if not index and address is not None:
            index = self._index_of(address, payload)
        self._manager.handle(payload, index, self._clock.now())

    def _index_of(self, address: bytes, payload: bytes) -> int:
        BroadcastManager.check_size(payload)
        if len(address) < ADDRESS.size:
            raise failure(errno.EINVAL)
        family, index = ADDRESS.unpack_from(address)
        if family != AF_CAN:
            raise failure(errno.EINVAL)
        if index and index not in self._interfaces:
            raise failure(errno.ENODEV)
        return int(index)

    def released(self, size: int) -> None:
        """Take note that the device has let go of a frame: it is charged to nobody."""

    # What operations ask for

    def send_once(self, frame: bytes, interface: int) -> None:
        """Send a frame once.

        Raises:
            OSError: ENODEV, EINVAL, EMSGSIZE, ENETDOWN or ENOBUFS.
        """
        there = self._interfaces.get(interface)
        if there is None:
            raise failure(errno.ENODEV)
        kind = kind_of(frame)
        if kind == INVALID:
            raise failure(errno.EINVAL)
        there.transmit(frame, kind, self, True, self._clock.stamp_ns())

    def transmit(self, frame: bytes, interface: int) -> None:
        """Send a frame; that it is refused interests nobody."""
        there = self._interfaces.get(interface)
        if there is None:
            return
        prepared = self._prepared.get(frame)
        if prepared is None:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            kind = FLEXIBLE if len(frame) == CANFD_MTU else CLASSICAL
            prepared = self._prepared[frame] = prepare(frame, kind)
        try:  # noqa: SIM105 - contextlib.suppress takes as long as all the rest
            there.transmit_again(prepared, self, self._stamp_ns)
        except OSError:
            pass

    def answer(self, frame: bytes, interface: int) -> None:
        """Send a frame once the one that is received now has reached all."""
        self._stack.afterwards.calls.append(partial(self.transmit, frame, interface))

    def tell(self, message: bytes, interface: int, flags: int = 0, stamp_ns: int = 0) -> None:
        """Queue a message for the user."""
        stamp_ns = stamp_ns or self._clock.stamp_ns()
        self._put(message, interface, flags, stamp_ns, charge_of_data(len(message)))

    def listen(self, reception: Reception) -> None:
        """Hand a reception the frames of its identifier, if its interface is there."""
        if not reception.interface:
            lists = self._stack.any_lists
        elif (there := self._interfaces.get(reception.interface)) is not None:
            lists = there.lists
        else:
            return
        self._listeners[reception] = _Listener(self, reception, lists)

    def unlisten(self, reception: Reception) -> None:
        """Hand it no more."""
        listener = self._listeners.pop(reception, None)
        if listener is not None:
            listener.close()

    def hear(
        self, reception: Reception, payload: bytes, ifindex: int, sender: object, stamp_ns: int
    ) -> None:
        """Hand a frame to a reception of this socket."""
        reception.receive(
            payload,
            ifindex,
            local=sender is not None,
            own=sender is self,
            stamp_ns=stamp_ns,
            now=self._clock.now() if reception.timed else 0,
        )

    def close(self) -> None:
        """End its operations, and forget what waits. It is of no use after that."""
        self._manager.close()
        self._leave()
        self._stack.watchers.pop(self, None)
        super().close()


class _Listener:
    """A reception's place in receive lists.

    Args:
        socket: The socket it belongs to.
        reception: Who gets the frames.
        lists: Those of its interface, or of all.
    """

    joined = 0

    def __init__(
        self, socket: BcmSocketCore, reception: Reception, lists: ReceiveLists[Taker]
    ) -> None:
        self._socket = socket
        self._reception = reception
        self._lists = lists
        self._word = word = reception.can_id
        identifier = EFF_MASK if word & EFF_FLAG else SFF_MASK
        self._mask = identifier | EFF_FLAG | RTR_FLAG
        self._kind = FLEXIBLE if reception.flexible else CLASSICAL
        lists.register(self._word, self._mask, self)

    def deliver(
        self, payload: bytes, kind: int, word: int, ifindex: int, sender: object, now_ns: int
    ) -> None:
        """Take a frame that passed the filter: it may be of another kind, or differ elsewhere."""
        if kind == self._kind and word == self._word:
            self._socket.hear(self._reception, payload, ifindex, sender, now_ns)

    def close(self) -> None:
        """Give the place up."""
        self._lists.unregister(self._word, self._mask, self)
