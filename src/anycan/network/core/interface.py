"""An interface of a network: its link, its transmit path and the delivery of what it hears."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import attrs

from anycan.engine.failure import failure
from anycan.frame import ERR_FLAG
from anycan.network.core.device import Transmit
from anycan.network.core.payload import (
    FLEXIBLE,
    INVALID,
    XL,
    data_length,
    kind_of,
    mark_flexible,
    unpack_word,
)
from anycan.network.core.receivers import ReceiveLists, Receiver, Verdicts
from anycan.wire.constants import CANFD_MTU, CANXL_MIN_MTU

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.core.afterwards import Afterwards
    from anycan.network.core.device import Device

_SENT: Final = Transmit.SENT


def mtu_allows(mtu: int, kind: int) -> bool:
    """Tell whether an interface of that MTU takes a kind of frame."""
    if kind == FLEXIBLE:
        return mtu == CANFD_MTU or mtu >= CANXL_MIN_MTU
    return kind != XL or mtu >= CANXL_MIN_MTU


Prepared: TypeAlias = "tuple[bytes, int, int, int]"
"""A frame to be sent: its bytes, its kind, its first word, and how much data interfaces count."""


def prepare(payload: bytes, kind: int) -> Prepared:
    """Find out once what is asked whenever a frame is sent."""
    if kind == FLEXIBLE:
        payload = mark_flexible(payload)
    (word,) = unpack_word(payload)
    return payload, kind, word, data_length(payload, kind, word)


class Taker(Receiver, Protocol):
    """Who takes frames."""

    def deliver(
        self, payload: bytes, kind: int, word: int, ifindex: int, sender: object, now_ns: int
    ) -> None:
        """Take a frame that passed the filters.

        Args:
            payload: Its bytes.
            kind: What :func:`~anycan.network.core.payload.kind_of` says of them.
            word: Their first word.
            ifindex: The interface.
            sender: The socket that sent it; None: it came from the bus.
            now_ns: The time.
        """
        ...


class Sender(Protocol):
    """Who sends frames."""

    def released(self, size: int) -> None:
        """Take note that the device has let go of a frame of that many bytes which it held."""
        ...


class Bound(Protocol):
    """Who is told what happens to an interface."""

    def link_down(self) -> None:
        """Take note that the interface went down."""
        ...

    def interface_removed(self) -> None:
        """Take note that the interface is gone."""
        ...


@attrs.define
class Counters:
    """What went through an interface."""

    sent: int = 0
    sent_bytes: int = 0
    send_dropped: int = 0
    received: int = 0
    received_bytes: int = 0
    receive_dropped: int = 0


class Interface:
    """An interface: what its device and the sockets see.

    Args:
        index: From 1; never given twice.
        name: Its name.
        mtu: 16, 72, or 76 to 2060.
        device: What carries its frames.
        any_lists: The filters of the sockets bound to all interfaces.
        afterwards: What waits until a frame has reached all who take it.

    Attributes:
        up: Whether the link is up.
        lists: The filters of the sockets bound to it.
        bound: The sockets bound to it, in the order of their binding.
        counters: What went through it.
    """

    __slots__ = (
        "_afterwards",
        "_held",
        "_verdicts",
        "bound",
        "counters",
        "device",
        "index",
        "lists",
        "mtu",
        "name",
        "up",
    )

    def __init__(
        self,
        index: int,
        name: str,
        mtu: int,
        device: Device,
        any_lists: ReceiveLists[Taker],
        afterwards: Afterwards,
    ) -> None:
        self.index = index
        self.name = name
        self.mtu = mtu
        self.device = device
        self.up = False
        self.lists: ReceiveLists[Taker] = ReceiveLists()
        self.bound: dict[Bound, None] = {}
        self.counters = Counters()
        self._afterwards = afterwards
        self._held: deque[tuple[bytes, Sender, bool]] = deque()
        self._verdicts = Verdicts(any_lists, self.lists)

    def transmit(
        self, payload: bytes, kind: int, sender: Sender, loopback: bool, now_ns: int
    ) -> bool:
        """Send a frame.

        Args:
            payload: Its bytes; their content has been checked.
            kind: What :func:`~anycan.network.core.payload.kind_of` says of them.
            sender: The socket that sends it.
            loopback: Other sockets of this host are to see it.
            now_ns: The time.

        Returns:
            Whether the device holds the frame: it will tell the sender when it has let go.

        Raises:
            OSError: EMSGSIZE, ENETDOWN or ENOBUFS.
        """
        prepared = prepare(payload, kind)
        return self._transmit(prepared, sender, loopback, now_ns)

    def transmit_again(
        self, prepared: Prepared, sender: Sender, stamp_ns: Callable[[], int]
    ) -> None:
        """Send a frame that is sent more than once, with loopback.

        Args:
            prepared: The frame.
            sender: The socket that sends it.
            stamp_ns: Gives the time.

        Raises:
            OSError: As :meth:`transmit`.
        """
        now_ns = stamp_ns() if self._verdicts[prepared[2]] else 0  # else nobody asks
        self._transmit(prepared, sender, True, now_ns)

    def _transmit(self, prepared: Prepared, sender: Sender, loopback: bool, now_ns: int) -> bool:
        payload, kind, word, size = prepared
        if len(payload) > self.mtu:
            raise failure(errno.EMSGSIZE)
        if not self.up:
            raise failure(errno.ENETDOWN)
        result = self.device.transmit(payload)
        if result is _SENT:
            counters = self.counters
            counters.sent += 1
            counters.sent_bytes += size
            if loopback:
                self._deliver(payload, kind, word, size, sender, now_ns)
            return False
        if result is Transmit.FULL:
            self.counters.send_dropped += 1
            raise failure(errno.ENOBUFS)
        echoed = self.device.echo
        self._held.append((payload, sender, loopback and echoed))
        if loopback and not echoed:
            self._deliver(payload, kind, word, size, sender, now_ns)
        return True

    def sent(self, now_ns: int) -> None:
        """Take note that the oldest frame that the device held is on the bus."""
        payload, sender, echoed = self._held.popleft()
        kind = kind_of(payload)
        (word,) = unpack_word(payload)
        size = data_length(payload, kind, word)
        self.counters.sent += 1
        self.counters.sent_bytes += size
        sender.released(len(payload))
        if echoed:
            self._deliver(payload, kind, word, size, sender, now_ns)

    def receive(self, payload: bytes, now_ns: int) -> bool:
        """Take a frame that came from the bus.

        Returns:
            Whether it was taken; what is no frame, or does not fit, is counted as dropped.
        """
        kind = kind_of(payload)
        if (
            kind == INVALID
            or not self.up
            or len(payload) > self.mtu
            or not mtu_allows(self.mtu, kind)
        ):
            self.counters.receive_dropped += 1
            return False
        if kind == FLEXIBLE:
            payload = mark_flexible(payload)
        (word,) = unpack_word(payload)
        self._deliver(payload, kind, word, data_length(payload, kind, word), None, now_ns)
        return True

    def _deliver(
        self,
        payload: bytes,
        kind: int,
        word: int,
        size: int,
        sender: Sender | None,
        now_ns: int,
    ) -> None:
        if sender is not None or not word & ERR_FLAG:  # a controller's report is no traffic
            counters = self.counters
            counters.received += 1
            counters.received_bytes += size
        for socket in self._verdicts[word]:
            socket.deliver(payload, kind, word, self.index, sender, now_ns)
        if self._afterwards.calls:
            self._afterwards.run()

    def set_up(self) -> None:
        """Bring the link up."""
        if not self.up:
            self.up = True
            self.device.start(self)

    def set_down(self) -> None:
        """Take the link down: what the device held is gone, and the sockets bound here are told."""
        if self.up:
            self.up = False
            self.device.stop()
            held, self._held = self._held, deque()
            for payload, sender, _ in held:
                sender.released(len(payload))
            for socket in list(self.bound):
                socket.link_down()

    def remove(self) -> None:
        """Take the interface away: the sockets bound here are told, and unbind."""
        self.set_down()
        for socket in list(self.bound):
            socket.interface_removed()
        self._verdicts.detach()
