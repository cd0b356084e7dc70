"""A CAN_RAW socket."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.frame import ERR_FLAG
from anycan.network.core.payload import (
    CLASSICAL,
    FLEXIBLE,
    GREATEST_SIZE,
    INVALID,
    LEAST_SIZE,
    XL,
    charge_of,
    kind_of,
    mtu_allows,
    replace_word,
    unpack_word,
)
from anycan.network.core.raw_options import RawSocketOptions
from anycan.network.core.socket import ADDRESS, SocketCore
from anycan.wire.constants import (
    AF_CAN,
    CAN_MTU,
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FILTER,
    MSG_CONFIRM,
    MSG_DONTROUTE,
    SOL_CAN_RAW,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.network.core.interface import Interface
    from anycan.network.core.receivers import ReceiveLists
    from anycan.network.core.roles import Bound, Taker
    from anycan.network.core.stack import Stack

_LEAST_ADDRESS: Final = ADDRESS.size
_CHARGE: Final = charge_of(CAN_MTU)  # of classical CAN and CAN FD alike
_GREATEST_ADDRESS: Final = 128  # linux/socket.h: struct sockaddr_storage


class RawSocketCore(SocketCore):
    """A CAN_RAW socket, without a descriptor and a clock.

    Args:
        stack: The network's interfaces.
        changed: Called when the socket may have become readable or writable, or no longer is.
    """

    def __init__(self, stack: Stack, changed: Callable[[], object]) -> None:
        self.options = RawSocketOptions()
        super().__init__(stack, changed, self.options, errno.EINVAL)
        self._lists: ReceiveLists[Taker] | None = None  # None: not bound

    @property
    def joined(self) -> int:
        """How many filters must match before a frame is taken; 0: the first does."""
        return self.options.joined

    # Binding

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``; index 0: to all.

        Raises:
            OSError: EINVAL or ENODEV.
        """
        index = _index_of(address)
        bound = self._interface.index if self._interface is not None else 0
        if self._lists is not None and index == bound:
            return
        interface: Interface | None = None
        if index:
            interface = self._stack.by_index.get(index)
        if self._stack.closed or (index and interface is None):
            raise failure(errno.ENODEV)
        self._unregister()
        self._leave()
        self._interface = interface
        self._lists = self._stack.any_lists if interface is None else interface.lists
        self._bound_there[self] = None
        self._register_filters()
        self._register_errors()
        if interface is not None and not interface.up:
            self._fail(errno.ENETDOWN)

    def connect(self, _address: bytes) -> None:
        """Refuse to be connected: it is bound.

        Raises:
            OSError: EOPNOTSUPP.
        """
        raise failure(errno.EOPNOTSUPP)

    @property
    def _bound_there(self) -> dict[Bound, None]:
        interface = self._interface
        return self._stack.any_bound if interface is None else interface.bound

    def _leave(self) -> None:
        self._bound_there.pop(self, None)
        self._interface = self._lists = None

    def _register_filters(self) -> None:
        if self._lists is not None:
            for word, mask in self.options.filters:
                self._lists.register(word, mask, self)

    def _unregister(self) -> None:
        self._unregister_filters(self.options.filters)
        self._unregister_errors(self.options.error_mask)

    def _register_errors(self) -> None:
        if self._lists is not None and self.options.error_mask:
            self._lists.register(0, self.options.error_mask | ERR_FLAG, self)

    def _unregister_filters(self, filters: list[tuple[int, int]]) -> None:
        if self._lists is not None and filters:
            self._lists.unregister_all(filters, self)

    def _unregister_errors(self, mask: int) -> None:
        if self._lists is not None and mask:
            self._lists.unregister(0, mask | ERR_FLAG, self)

    # What happens to the interface

    def link_down(self) -> None:
        """Take note that the interface went down."""
        self._fail(errno.ENETDOWN)

    def interface_removed(self) -> None:
        """Take note that the interface is gone: the socket is unbound and has no filters."""
        self._unregister()
        self._leave()
        self.options.set_raw(CAN_RAW_FILTER, b"")
        self._fail(errno.ENODEV)

    # Options

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option.

        Raises:
            OSError: EINVAL or ENOPROTOOPT.
        """
        if level != SOL_CAN_RAW:
            super().setsockopt(level, option, value)
        elif option == CAN_RAW_FILTER:
            # The new ones come first: those that are there already keep their place.
            filters = self.options.filters
            self.options.set_raw(option, value)
            self._register_filters()
            self._unregister_filters(filters)
        elif option == CAN_RAW_ERR_FILTER:
            mask = self.options.error_mask
            self.options.set_raw(option, value)
            self._register_errors()
            self._unregister_errors(mask)
        else:
            self.options.set_raw(option, value)
            if self._lists is not None:
                self._lists.changed()  # filters may be joined now, or no longer

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of an option, ``size`` at most.

        Raises:
            OSError: EINVAL, ERANGE or ENOPROTOOPT.
        """
        if level == SOL_CAN_RAW:
            return self.options.get_raw(option, size)
        return super().getsockopt(level, option, size)

    # Sending

    def send(self, payload: bytes, address: bytes | None, now_ns: int) -> None:
        """Send a frame.

        Args:
            payload: Its bytes.
            address: ``struct sockaddr_can`` of the interface; None: the bound one.
            now_ns: The time, in nanoseconds since the epoch.

        Raises:
            OSError: As ``docs/explanation/parity.md`` says, in the kernel's order.
        """
        if not LEAST_SIZE <= len(payload) <= GREATEST_SIZE:
            raise failure(errno.EINVAL)
        if address is not None:
            interface = self._stack.by_index.get(_index_of(address))
        else:
            interface = self._interface
        if interface is None:
            raise failure(errno.ENXIO)
        self._take_error()
        options = self.options
        if self._sent_charge >= options.send_buffer:
            raise failure(errno.EAGAIN)
        kind = kind_of(payload)
        if kind != CLASSICAL:
            if (
                kind == INVALID
                or not (options.flexible if kind == FLEXIBLE else options.xl)
                or not mtu_allows(interface.mtu, kind)
            ):
                raise failure(errno.EINVAL)
            if kind == XL:
                (word,) = unpack_word(payload)
                payload = replace_word(payload, options.outgoing_xl_word(word))
        if interface.transmit(payload, kind, self, options.loopback, now_ns):
            self._sent_charge += charge_of(len(payload))
            self._changed()

    def send_many(
        self, payloads: Sequence[bytes], address: bytes | None, now_ns: Callable[[], int]
    ) -> int:
        """Send frames in their order; give how many were taken."""
        interface = self._interface
        count = 0
        if interface is not None and address is None and not self._error:
            count = interface.transmit_at_once(payloads, self, self.options.loopback, now_ns)
            if count == len(payloads):
                return count
            payloads = payloads[count:]
        try:
            return count + super().send_many(payloads, address, now_ns)
        except OSError:
            if not count:
                raise
            return count

    def released(self, size: int) -> None:
        """Take note that the device has let go of a frame of that many bytes which it held."""
        self._sent_charge -= charge_of(size)
        self._changed()

    # Receiving

    def deliver(
        self, payload: bytes, kind: int, word: int, ifindex: int, sender: object, now_ns: int
    ) -> None:
        """Queue a frame that passed the filters, unless an option or a full buffer forbids it."""
        options = self.options
        if sender is None:
            flags = 0
        elif sender is not self:
            flags = MSG_DONTROUTE
        elif options.receive_own:
            flags = MSG_DONTROUTE | MSG_CONFIRM
        else:
            return
        if kind and not (
            options.flexible if kind == FLEXIBLE else options.xl and options.takes_xl_word(word)
        ):
            return
        if self._received_charge >= options.receive_buffer:  # as _put(), without the call
            self.drops += 1
            return
        charge = charge_of(len(payload)) if kind == XL else _CHARGE
        self._received_charge += charge
        queue = self._queue
        queue.append(
            (payload, ifindex, flags, now_ns, self.drops if options.drop_counts else 0, charge)
        )
        if len(queue) == 1:
            self._changed()

    def close(self) -> None:
        """Unbind, and forget what waits. It is of no use after that."""
        self._unregister()
        self._leave()
        super().close()


def _index_of(address: bytes) -> int:
    if not _LEAST_ADDRESS <= len(address) <= _GREATEST_ADDRESS:
        raise failure(errno.EINVAL)
    family, index = ADDRESS.unpack_from(address)
    if family != AF_CAN:
        raise failure(errno.EINVAL)
    return int(index)
