"""A pair of virtual interfaces: what is sent on one end, the other one receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.network.core.device import NetworkDevice, TransmitResult, virtual_mtu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.network.core.device import DevicePort
    from anycan.network.core.interface import Interface
    from anycan.network.core.payload import Prepared


class VxcanEnd(NetworkDevice):
    """One end of a pair. The other one may be on another network of the same thread.

    A frame is received at the other end as one from a bus is, and not as a local one; on the
    sender's own end it is seen as on a vcan. The MTU of the end that receives does not count.

    There is a carrier while both ends are up. Without it a frame is dropped and counted at the
    sender's end, whose own host sees it all the same, and ``send`` succeeds. (The kernel's queue
    drops it there, too, and counts it nowhere; only in the moment before it has noticed that the
    other end is down, that end counts a frame that it did not receive.)

    Attributes:
        other: The other end; None: the pair has been removed.
        interface: The interface of this end; None: it has none yet.

    Source: ``drivers/net/can/vxcan.c``, as in Linux 6.12.
    """

    kind = "vxcan"

    def __init__(self) -> None:
        self.carrier = False
        self.carrier_changes = 1  # it was there until it was taken away, when the pair was made
        self.other: VxcanEnd | None = None
        self.interface: Interface | None = None

    @classmethod
    def pair(cls) -> tuple[VxcanEnd, VxcanEnd]:
        """Make both ends."""
        one, other = cls(), cls()
        one.other, other.other = other, one
        return one, other

    def supports_mtu(self, mtu: int) -> bool:
        """Tell whether the device can have that MTU."""
        return virtual_mtu(mtu)

    @property
    def peer(self) -> Interface | None:
        """The interface of the other end."""
        return None if self.other is None else self.other.interface

    def joined(self) -> Sequence[Interface]:
        """Give the other end."""
        return () if self.peer is None else (self.peer,)

    def attach(self, interface: Interface) -> None:
        """Take note of the interface of this end."""
        self.interface = interface

    def detach(self) -> None:
        """Remove the other end too."""
        other, peer = self.other, self.peer
        if other is not None:
            self.other = other.other = None
        if peer is not None:
            peer.stack.remove(peer)

    def start(self, _port: DevicePort) -> None:
        """Join the ends, if the other one is up."""
        if self.peer is not None and self.peer.up:
            self._join(joined=True)

    def stop(self) -> None:
        """Part the ends."""
        self._join(joined=False)

    def _join(self, *, joined: bool) -> None:
        self._set_carrier(on=joined)
        if self.other is not None:
            self.other._set_carrier(on=joined)  # noqa: SLF001 - of one class

    def transmit(self, payload: bytes) -> TransmitResult:  # noqa: ARG002 - hearers() has it next
        """Take a frame to the other end."""
        return TransmitResult.SHARED if self.carrier else TransmitResult.LOST

    def hearers(self, prepared: Prepared) -> Sequence[tuple[Interface, Prepared]]:
        """Give the other end."""
        peer = self.peer
        return () if peer is None else ((peer, prepared),)
