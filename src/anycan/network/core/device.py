"""What carries the frames of an interface: the virtual device, and what a driver is."""

from __future__ import annotations

import enum
import errno
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_MIN_MTU, CANXL_MTU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.network.core.interface import Interface
    from anycan.network.core.payload import Prepared
    from anycan.wire.netlink_can import CanParameters, CanStatistics

DEFAULT_MTU: Final = CANFD_MTU


class TransmitResult(enum.Enum):
    """What became of a frame that a :class:`NetworkDevice` was given."""

    SENT = enum.auto()
    """It is on the bus."""
    QUEUED = enum.auto()
    """The device holds it, and tells by :meth:`DevicePort.sent` when it is on the bus."""
    FULL = enum.auto()
    """The device has no room: the sender gets ENOBUFS, and tries again.

    Each try counts as a frame dropped (``tx_dropped``), as the kernel counts them.
    """
    SHARED = enum.auto()
    """It is on a wire between interfaces of user networks; a driver has no use for it."""
    LOST = enum.auto()
    """The device has dropped it, which is counted; the sender is not told."""


class DevicePort(Protocol):
    """An interface as its device sees it: what a driver calls.

    A device has it from :meth:`NetworkDevice.start` to :meth:`NetworkDevice.stop`, and calls it
    from the thread of its network.
    """

    @property
    def mtu(self) -> int:
        """The interface's MTU: 16, 72, or 76 to 2060."""
        ...

    def receive(self, payload: bytes, now_ns: int | None = None) -> bool:
        """Take a frame that came from the bus, or an error frame of the controller.

        Args:
            payload: ``struct can_frame`` (16 bytes), ``canfd_frame`` (72) or ``canxl_frame``, as
                :func:`~anycan.encode_frame` makes them.
            now_ns: When it came, in nanoseconds since the epoch; None: now.

        Returns:
            Whether it was taken. What is no frame, or too large for the interface, is counted as
            dropped, and so is what comes while the link is down.
        """
        ...

    def sent(self, now_ns: int | None = None) -> None:
        """Say that the oldest of the frames held is on the bus.

        It is held once :meth:`NetworkDevice.transmit` has returned ``QUEUED``: do not call this
        within ``transmit``, but return ``SENT`` there.

        Args:
            now_ns: When it was, in nanoseconds since the epoch; None: now.
        """
        ...

    def lost(self) -> None:
        """Say that the oldest of the frames held will not be on the bus: it is counted."""
        ...

    def set_carrier(self, *, on: bool) -> None:
        """Say that the device takes part in its bus from now on, or no more.

        Whoever watches links is told. The link stays up; frames come to
        :meth:`NetworkDevice.transmit` all the same. Of a controller (``kind = "can"``) its state is
        believed before that: where :meth:`NetworkDevice.parameters` tells ``CanState.STOPPED`` as
        well, call :meth:`changed` before, and endpoints opened with ``on_link_loss="wait"`` wait
        until it is over.
        """
        ...

    def changed(self) -> None:
        """Say that what :meth:`NetworkDevice.parameters` gives is not as it was."""
        ...


class NetworkDevice(ABC):
    """What carries the frames of an interface of a :class:`UserNetwork`. Drivers derive from it.

    Its interface calls it, from the thread of the network; nothing here may wait.
    :meth:`UserNetwork.add_device` makes an interface of it.

    Attributes:
        kind: The kind of link: ``"can"`` (a controller: give :meth:`parameters` as well),
            ``"vcan"``, ``"vxcan"``; None: it is none of these.
        echo: The device hears its own frames, so that other sockets of this host get a frame when
            it is on the bus. Where it is False they get it when it is sent.
        instant: Every frame is SENT as soon as the device is given it, so that it need not be given
            those of classical CAN.
        queue_length: How many frames the kernel's queue for such a device holds, as it is made.
        carrier: It takes part in its bus, if it is up. What it is at first is the driver's to
            say; from then on :meth:`DevicePort.set_carrier` changes it.
        carrier_changes: How often that has changed.

    Example:
        A wire that hands every frame back, with another identifier:

        >>> class Mirror(NetworkDevice):
        ...     def supports_mtu(self, mtu: int) -> bool:
        ...         return mtu == 16
        ...     def start(self, port: DevicePort) -> None:
        ...         self.port = port
        ...     def transmit(self, payload: bytes) -> TransmitResult:
        ...         frame = decode_frame(payload)
        ...         self.port.receive(encode_frame(Frame(frame.id + 8, frame.data)))
        ...         return TransmitResult.SENT
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_device("can0", Mirror())
        ...         async with open_raw("can0", network=network) as can:
        ...             await can.send(Frame(0x7E0, bytes(2)))
        ...             print(await can.receive())
        >>> anyio.run(main)
        7E8#0000
    """

    kind: ClassVar[str | None] = None
    echo: ClassVar[bool] = False
    queue_length: ClassVar[int] = 1000  # net/core/dev.c: DEFAULT_TX_QUEUE_LEN
    instant: bool = False
    carrier: bool = True
    carrier_changes: int = 0
    _owner: Interface | None = None  # whose it is; on one network alone

    @abstractmethod
    def supports_mtu(self, mtu: int) -> bool:
        """Tell whether the device can have that MTU. It is asked while the link is down.

        Args:
            mtu: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
        """

    @abstractmethod
    def transmit(self, payload: bytes) -> TransmitResult:
        """Take a frame to the bus. It is called only between :meth:`start` and :meth:`stop`.

        Args:
            payload: ``struct can_frame``, ``canfd_frame`` or ``canxl_frame``, within the MTU;
                :func:`~anycan.decode_frame` gives the frame. An application may send error frames,
                too, which no bus has (``TransmitResult.LOST`` drops one).
        """

    def attach(self, interface: Interface) -> None:  # noqa: B027 - most devices need none
        """Take note that the device belongs to an interface now, which is down."""

    def detach(self) -> None:  # noqa: B027 - most devices need none
        """Take note that the interface has been removed."""

    def start(self, port: DevicePort) -> None:  # noqa: B027 - a device without a start needs none
        """Begin to work: the link goes up.

        Args:
            port: The interface.

        Raises:
            OSError: It cannot; the link stays down. ``strerror`` says what is missing, to the
                person who set the link up.
        """

    def stop(self) -> None:  # noqa: B027 - a device without a stop needs none
        """Cease to work, and forget the frames held: the link goes down.

        What it raises is logged, and the link goes down all the same.
        """

    def mtu_changed(self, mtu: int) -> None:  # noqa: B027 - most devices need none
        """Take note of another MTU, which it can have. The link is down."""

    def hearers(
        self,
        prepared: Prepared,  # noqa: ARG002 - for those that share a wire
    ) -> Sequence[tuple[Interface, Prepared]]:
        """Give the interfaces that hear a frame which was sent on a shared wire, and as what."""
        return ()

    def joined(self) -> Sequence[Interface]:
        """Give the interfaces that may receive what is sent on this one."""
        return ()

    @property
    def peer(self) -> Interface | None:
        """The other end of a pair; None: it is no pair."""
        return None

    # What a controller has

    @property
    def can_statistics(self) -> CanStatistics | None:
        """What it has counted; None: it is no controller."""
        return None

    def parameters(self) -> CanParameters | None:
        """Give what it is set to, and tells; None: it is no controller."""
        return None

    def configure(self, parameters: CanParameters) -> None:  # noqa: ARG002 - there is nothing to set
        """Set it.

        Raises:
            OSError: It cannot be set so; nothing has been changed. EOPNOTSUPP: it is no controller.
        """
        raise OSError(errno.EOPNOTSUPP, "it has no controller")

    def restart(self) -> None:
        """Restart it after bus-off.

        Raises:
            OSError: It is not bus-off, or restarts by itself. EOPNOTSUPP: it is no controller.
        """
        raise OSError(errno.EOPNOTSUPP, "it has no controller")

    def _set_owner(self, interface: Interface | None) -> None:
        """Belong to an interface; None: to none any more."""
        self._owner = interface

    def _set_carrier(self, *, on: bool) -> bool:
        """Begin or cease to take part in the bus; tell whether that is a change."""
        if on == self.carrier:
            return False
        self.carrier = on
        self.carrier_changes += 1
        return True


def virtual_mtu(mtu: int) -> bool:
    """Tell whether a device without a wire can have that MTU."""
    return mtu in {CAN_MTU, CANFD_MTU} or CANXL_MIN_MTU <= mtu <= CANXL_MTU


class VirtualDevice(NetworkDevice):
    """A bus without a wire, as the kernel's vcan: what is sent is received on this host, at once.

    Args:
        transmit_queue: None: a frame is gone as soon as it is sent. A number: so many frames wait
            for :meth:`release`, and then senders get ENOBUFS, as with a queueing discipline on a
            vcan (their local receivers have each frame at once all the same).

    Source: ``drivers/net/can/vcan.c``: MTU 16, 72, or 76 to 2060.
    """

    kind = "vcan"

    def __init__(self, transmit_queue: int | None = None) -> None:
        self._room = transmit_queue
        self.instant = transmit_queue is None
        self._held = 0
        self._port: DevicePort | None = None

    def supports_mtu(self, mtu: int) -> bool:
        """Tell whether the device can have that MTU."""
        return virtual_mtu(mtu)

    def start(self, port: DevicePort) -> None:
        """Begin to work."""
        self._port = port

    def stop(self) -> None:
        """Forget the frames held."""
        self._port = None
        self._held = 0

    def transmit(self, payload: bytes) -> TransmitResult:  # noqa: ARG002 - there is no bus to put it on
        """Take a frame."""
        room = self._room
        if room is None:
            return _SENT
        if self._held >= room:
            return TransmitResult.FULL
        self._held += 1
        return TransmitResult.QUEUED

    def release(self, count: int | None, now_ns: int) -> int:
        """Let frames that wait go, the oldest first.

        Args:
            count: How many; None: all.
            now_ns: The time.

        Returns:
            How many went.
        """
        released = 0
        while self._port is not None and self._held and released != count:
            self._held -= 1
            released += 1
            self._port.sent(now_ns)
        return released


_SENT: Final = TransmitResult.SENT
