"""An interface of a network: its link, its transmit path and the delivery of what it hears."""

from __future__ import annotations

import errno
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from anycan.engine.failure import failure
from anycan.frame import ERR_FLAG, RTR_FLAG
from anycan.network.core.device import TransmitResult
from anycan.network.core.payload import (
    CLASSICAL,
    FLEXIBLE,
    INVALID,
    data_length,
    kind_of,
    mark_flexible,
    mtu_allows,
    prepare,
    unpack_word,
)
from anycan.network.core.receivers import ReceiveLists, Verdicts
from anycan.wire.constants import CAN_MTU

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.network.core.device import NetworkDevice
    from anycan.network.core.payload import Prepared
    from anycan.network.core.roles import Bound, Sender, Taker
    from anycan.network.core.stack import Stack
    from anycan.wire.netlink_can import CanParameters, CanStatistics

_LOGGER: Final = logging.getLogger("anycan.network")
_SENT: Final = TransmitResult.SENT


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
        stack: The network that it is on.

    Attributes:
        stack: The network that it is on.
        up: Whether the link is up.
        lists: The filters of the sockets bound to it.
        bound: The sockets bound to it, in the order of their binding.
        counters: What went through it.
        queue_length: How many frames its queue is to hold, as the kernel's do.
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
        "queue_length",
        "stack",
        "up",
    )

    def __init__(
        self, index: int, name: str, mtu: int, device: NetworkDevice, stack: Stack
    ) -> None:
        self.index = index
        self.name = name
        self.mtu = mtu
        self.device = device
        self.stack = stack
        self.up = False
        self.lists: ReceiveLists[Taker] = ReceiveLists()
        self.bound: dict[Bound, None] = {}
        self.counters = Counters()
        self.queue_length = device.queue_length
        self._afterwards = stack.afterwards
        self._held: deque[tuple[bytes, Sender, bool]] = deque()
        self._verdicts = Verdicts(stack.any_lists, self.lists)

    # Frames

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

    def transmit_at_once(
        self,
        payloads: Sequence[bytes],
        sender: Sender,
        loopback: bool,
        now_ns: Callable[[], int],
    ) -> int:
        """Send those classical frames at the beginning of a batch that are gone as they are sent.

        It does what :meth:`transmit` does for each, with fewer calls.

        Args:
            payloads: Frames, which need not have been checked.
            sender: The socket that sends them.
            loopback: Other sockets of this host are to see them.
            now_ns: Gives the time.

        Returns:
            How many were sent, from 0: the next one has to go the longer way.
        """
        if not self.device.instant or not self.up:
            return 0
        verdicts, afterwards, index = self._verdicts, self._afterwards, self.index
        count = size = 0
        for payload in payloads:
            if len(payload) != CAN_MTU or payload[4] > 8:
                break
            (word,) = unpack_word(payload)
            count += 1
            if not word & RTR_FLAG:
                size += payload[4]
            if loopback and (takers := verdicts[word]):
                stamp = now_ns()
                for socket in takers:
                    socket.deliver(payload, CLASSICAL, word, index, sender, stamp)
                if afterwards.calls:  # in which sockets answer
                    afterwards.run()
                    if sender.failed:  # also where the link has gone down
                        break
        counters = self.counters
        counters.sent += count
        counters.sent_bytes += size
        if loopback:
            counters.received += count
            counters.received_bytes += size
        return count

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
        return self._transmit_otherwise(result, prepared, sender, loopback, now_ns)

    def _transmit_otherwise(
        self,
        result: TransmitResult,
        prepared: Prepared,
        sender: Sender,
        loopback: bool,
        now_ns: int,
    ) -> bool:
        """Do what is to be done with a frame that was not sent on a wire of this device alone."""
        payload, kind, word, size = prepared
        counters = self.counters
        echoed = self.device.echo
        if result is TransmitResult.SHARED:
            counters.sent += 1
            counters.sent_bytes += size
            self._share(prepared, sender, loopback, now_ns)
            return False
        if result is TransmitResult.FULL:
            counters.send_dropped += 1
            raise failure(errno.ENOBUFS)
        if result is TransmitResult.LOST:
            counters.send_dropped += 1
            if loopback and not echoed:
                self._hand_out(payload, kind, word, sender, now_ns)
            return False
        if result is not TransmitResult.QUEUED:
            raise TypeError(
                f"the driver of {self.name}, {self.device!r}, is to return a TransmitResult from"
                f" transmit(), and not {result!r}"
            )
        self._held.append((payload, sender, loopback and echoed))
        if loopback and not echoed:
            self._deliver(payload, kind, word, size, sender, now_ns)
        return True

    def _share(self, prepared: Prepared, sender: Sender, loopback: bool, now_ns: int) -> None:
        """Let all hear a frame on a wire that they share, before anybody answers it."""
        payload, kind, word, _ = prepared
        echoed = self.device.echo
        hearers = self.device.hearers(prepared)
        waiting = dict.fromkeys([self._afterwards, *[one._afterwards for one, _ in hearers]])  # noqa: SLF001 - of one class
        for one in waiting:
            one.pause()
        try:
            if loopback and echoed:
                self._hand_out(payload, kind, word, sender, now_ns)
            for interface, heard in hearers:
                interface.hear(heard)
            if loopback and not echoed:
                self._hand_out(payload, kind, word, sender, now_ns)
        finally:
            for one in waiting:
                one.resume()

    def hear(self, prepared: Prepared) -> None:
        """Take a frame from another interface's wire. That one has looked whether it is a frame.

        As on the kernel, the MTU of the interface that hears it does not count.
        """
        payload, kind, word, size = prepared
        now_ns = self.stack.clock.stamp_ns() if self._verdicts[word] else 0  # else nobody asks
        self._deliver(payload, kind, word, size, None, now_ns)

    def sent(self, now_ns: int | None = None) -> None:
        """Take note that the oldest frame that the device held is on the bus.

        Where it holds none, nothing happens: they went with the link.
        """
        if not self._held:
            return
        if now_ns is None:
            now_ns = self.stack.clock.stamp_ns()
        payload, sender, echoed = self._held.popleft()
        kind = kind_of(payload)
        (word,) = unpack_word(payload)
        size = data_length(payload, kind, word)
        self.counters.sent += 1
        self.counters.sent_bytes += size
        sender.released(len(payload))
        if echoed:
            self._deliver(payload, kind, word, size, sender, now_ns)

    def lost(self) -> None:
        """Take note that the oldest frame that the device held will not be on the bus."""
        if not self._held:
            return
        payload, sender, _ = self._held.popleft()
        self.counters.send_dropped += 1
        sender.released(len(payload))

    def receive(self, payload: bytes, now_ns: int | None = None) -> bool:
        """Take a frame that came from the bus.

        Returns:
            Whether it was taken; what is no frame, or does not fit, is counted as dropped.
        """
        if now_ns is None:
            now_ns = self.stack.clock.stamp_ns()
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

    def _hand_out(self, payload: bytes, kind: int, word: int, sender: Sender, now_ns: int) -> None:
        """Let this host see a frame that its interface sent, and did not receive."""
        for socket in self._verdicts[word]:
            socket.deliver(payload, kind, word, self.index, sender, now_ns)
        if self._afterwards.calls:
            self._afterwards.run()

    # The link

    @property
    def kind(self) -> str | None:
        """What kind of link it is; None: its device does not say."""
        return self.device.kind

    @property
    def carrier(self) -> bool:
        """Whether frames can pass: it is up, and its device takes part in its bus."""
        return self.up and self.device.carrier

    def set_carrier(self, *, on: bool) -> None:
        """Take note that the device takes part in its bus from now on, or no more."""
        if self.device._set_carrier(on=on):  # noqa: SLF001 - a driver is to come through here
            self.changed()

    @property
    def carrier_changes(self) -> int:
        """How often its device has lost or found its bus; to be set up and down does not count."""
        return self.device.carrier_changes

    @property
    def peer(self) -> Interface | None:
        """The other end of a pair."""
        return self.device.peer

    def set_queue_length(self, frames: int) -> None:
        """Say how many frames its queue is to hold. It is told to who asks; nothing queues here."""
        if frames != self.queue_length:
            self.queue_length = frames
            self.changed()

    def parameters(self) -> CanParameters | None:
        """Give what its controller is set to, and tells; None: it has none."""
        return self.device.parameters()

    @property
    def can_statistics(self) -> CanStatistics | None:
        """How often its controller has changed its state, and the like; None: it has none."""
        return self.device.can_statistics

    def configure(self, parameters: CanParameters) -> None:
        """Set its controller.

        Raises:
            OSError: As the kernel; nothing has been changed then. EOPNOTSUPP: it has none.
        """
        self.device.configure(parameters)
        self.changed()

    def restart(self) -> None:
        """Restart its controller after bus-off.

        Raises:
            OSError: EINVAL: it is down, or restarts by itself; EBUSY: it is not bus-off;
                EOPNOTSUPP: it has no controller.
        """
        self.device.restart()

    def changed(self) -> None:
        """Tell whoever watches links that something of this one is not as it was.

        Once it has been removed, nobody is told: a driver's callback may come late.
        """
        if self.stack.by_index.get(self.index) is self:
            self.stack.tell(self)

    def set_up(self) -> None:
        """Bring the link up.

        Raises:
            OSError: The device cannot begin to work.
        """
        if self.up:
            return
        peer = self.peer
        before = None if peer is None else peer.carrier_changes
        carrier_changes = self.carrier_changes
        self.up = True
        try:
            self.device.start(self)
        except BaseException:
            self.up = False
            if self.carrier_changes != carrier_changes:
                self.changed()  # it was told of while the link was taken for up
            raise
        self.changed()
        self._tell_of_peer(peer, before)

    def set_down(self) -> None:
        """Take the link down: what the device held is gone, and the sockets bound here are told."""
        if not self.up:
            return
        peer = self.peer
        before = None if peer is None else peer.carrier_changes
        self.up = False
        try:
            self.device.stop()
        except Exception:  # the link goes down all the same, and so do the others
            _LOGGER.exception("%s: its driver failed to stop; the network goes on", self.name)
        held, self._held = self._held, deque()
        for payload, sender, _ in held:
            sender.released(len(payload))
        for socket in list(self.bound):
            socket.link_down()
        self.changed()
        self._tell_of_peer(peer, before)

    def _tell_of_peer(self, peer: Interface | None, before: int | None) -> None:
        """Tell that the other end's carrier has changed with this link, unless it is gone now."""
        if peer is not None and peer is self.peer and peer.carrier_changes != before:
            peer.changed()

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU, which the device can have."""
        self.mtu = mtu
        self.device.mtu_changed(mtu)
        self.changed()

    def remove(self) -> None:
        """Take the interface away, which is down: the sockets bound here are told, and unbind."""
        for socket in list(self.bound):
            socket.interface_removed()
        self._verdicts.detach()
        self.device.detach()
