"""What there is to know of an interface."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_MIN_MTU
from anycan.wire.netlink_can import CanState

if TYPE_CHECKING:
    from anycan.wire.netlink_can import CanErrorCounters, CanMode, CanStatistics
    from anycan.wire.netlink_statistics import LinkStatistics
    from anycan.wire.netlink_timing import BitTiming, BitTimingConstants, TransmitterDelay

_WITHOUT_BUS: Final = frozenset({"vcan", "vxcan"})


class LinkCondition(enum.Enum):
    """Whether frames can pass an interface, and if not, why.

    Example:
        >>> LinkCondition.BUS_OFF.value
        'bus-off'
    """

    UP = "up"
    """It is up, and its controller, if it has one, takes part in the bus."""
    NO_CARRIER = "no carrier"
    """It is up, and nothing is at the other end: that of a vxcan is down, an adapter unplugged."""
    BUS_OFF = "bus-off"
    """Its controller has left the bus, until it is restarted."""
    DOWN = "down"
    """It is there, and down."""
    REMOVED = "removed"
    """It is not there."""


@attrs.frozen(kw_only=True)
class Interface:
    """A CAN interface, as it was when it was asked for.

    A field that is None is one that this kind of interface, its driver or its network does not
    have. What belongs to a controller, from ``state`` to ``can_statistics``, is None of a vcan and
    a vxcan; but :func:`watch_interfaces` fills ``state`` and ``error_counters`` of these from
    error frames.

    Attributes:
        index: Its index, from 1; never given twice while the system runs, unless asked for.
        name: Its name.
        kind: ``"can"`` (a controller), ``"vcan"``, ``"vxcan"``; None: its driver does not say.
        network: The name of the network that it is on: ``"kernel"``, ``"user"``, ``"user:NAME"``.
        up: It has been set up.
        carrier: Its driver has a carrier: not while a controller is down, or bus-off. A vcan has
            one always.
        mtu: The bytes of the greatest frame: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
        queue_length: How many frames wait in its transmit queue at most (``txqueuelen``).
        queueing: Its queueing discipline, such as ``"pfifo_fast"``.
        state: What its controller takes part in, by the error counters.
        modes: The control modes that are on.
        supported_modes: Those that it can be set to (Linux 5.17); None: not told.
        bit_timing: The bit timing of classical CAN, and of the arbitration phase; None: not set.
        bit_timing_constants: What that can be set to.
        data_bit_timing: The bit timing of CAN FD's data phase; None: not set.
        data_bit_timing_constants: What that can be set to.
        delay: Transmitter delay compensation of CAN FD.
        clock: The clock that bit timings divide, in Hz.
        bitrates: The bit rates that it has, if these are all it has; else None.
        data_bitrates: The same of the data phase.
        bitrate_max: The greatest bit rate that its transceiver takes; None: unknown.
        restart: After how many seconds of bus-off it restarts by itself; 0.0: not by itself.
        termination: The resistor between the wires, in ohms; 0: none.
        terminations: What ``termination`` can be set to.
        error_counters: Its error counters.
        statistics: Frames, bytes and errors since it was made.
        can_statistics: How often its controller has changed its state, and the like.
        peer_index: The index of the other end of a vxcan, in the namespace that this is in.
        peer_namespace: The number of that namespace; None: the same as this one's.
        driver: The name of its driver, such as ``"gs_usb"``.
        parent_bus: The bus that its device is on, such as ``"usb"``, ``"pci"``, ``"spi"``.
        parent_name: The device's address there, such as ``"1-1.4:1.0"``.
        alias: What somebody has written down about it.
        other_names: Its alternative names.
        group: The number of its group.
        carrier_changes: How often ``carrier`` has changed.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         vcan0 = await create_vcan("vcan0", network=network)
        ...         print(vcan0.name, vcan0.kind, vcan0.condition, vcan0.takes_fd, vcan0.takes_xl)
        >>> anyio.run(main)
        vcan0 vcan LinkCondition.UP True False
    """

    index: int
    name: str
    kind: str | None = None
    network: str = "kernel"
    up: bool = False
    carrier: bool = False
    mtu: int = CAN_MTU
    queue_length: int | None = None
    queueing: str | None = None
    state: CanState | None = None
    modes: CanMode | None = None
    supported_modes: CanMode | None = None
    bit_timing: BitTiming | None = None
    bit_timing_constants: BitTimingConstants | None = None
    data_bit_timing: BitTiming | None = None
    data_bit_timing_constants: BitTimingConstants | None = None
    delay: TransmitterDelay | None = None
    clock: int | None = None
    bitrates: tuple[int, ...] | None = None
    data_bitrates: tuple[int, ...] | None = None
    bitrate_max: int | None = None
    restart: float | None = None
    termination: int | None = None
    terminations: tuple[int, ...] | None = None
    error_counters: CanErrorCounters | None = None
    statistics: LinkStatistics | None = None
    can_statistics: CanStatistics | None = None
    peer_index: int | None = None
    peer_namespace: int | None = None
    driver: str | None = None
    parent_bus: str | None = None
    parent_name: str | None = None
    alias: str | None = None
    other_names: tuple[str, ...] = ()
    group: int | None = None
    carrier_changes: int | None = None

    @property
    def takes_fd(self) -> bool:
        """Whether its MTU lets CAN FD frames through."""
        return self.mtu == CANFD_MTU or self.takes_xl

    @property
    def takes_xl(self) -> bool:
        """Whether its MTU lets CAN XL frames through; the longest have ``mtu - 12`` bytes."""
        return self.mtu >= CANXL_MIN_MTU

    @property
    def bitrate(self) -> int | None:
        """The bit rate, in bits a second; None: it has none, or none is set."""
        return None if self.bit_timing is None else self.bit_timing.bitrate

    @property
    def data_bitrate(self) -> int | None:
        """The bit rate of CAN FD's data phase, in bits a second; None: none is set."""
        return None if self.data_bit_timing is None else self.data_bit_timing.bitrate

    @property
    def condition(self) -> LinkCondition:
        """Whether frames can pass, and if not, why.

        A vcan and a vxcan are never bus-off, whatever error frames somebody sends on them.
        """
        if not self.up:
            return LinkCondition.DOWN
        if self.state == CanState.BUS_OFF and self.kind not in _WITHOUT_BUS:
            return LinkCondition.BUS_OFF
        # A controller's carrier is told late; its state says the same, and at once: it is stopped
        # while it is up where its adapter is not there.
        lacking = not self.carrier and (self.kind == "vxcan" or self.state == CanState.STOPPED)
        return LinkCondition.NO_CARRIER if lacking else LinkCondition.UP
