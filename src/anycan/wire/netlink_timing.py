"""Times on the bus: structs and attributes that are parts of ``IFLA_CAN_*``.

They are the same for the arbitration phase and for the data phase of CAN FD and CAN XL
(``linux/can/netlink.h``; ``linux/can/bittiming.h`` of the kernel itself for what they mean).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.wire.netlink_attributes import NLA_F_NESTED, U32, Nest, Record, unpack_struct

if TYPE_CHECKING:
    from anycan.wire.netlink_attributes import Codec


@attrs.frozen
class BitTiming:
    """How a bit on the bus is timed: what an interface has, or is to be set to.

    To set it, give either ``bitrate``, and ``sample_point`` and ``sjw`` where the kernel's choice
    will not do; or ``tq`` and the segments. What is 0 is left to the kernel. A bit has the time
    quanta of the three segments, and one before them to synchronize.

    Attributes:
        bitrate: The bit rate, in bits a second.
        sample_point: Where a bit is sampled, between the phase buffer segments, in tenths of a
            percent of the bit time: 875 is 87.5 %.
        tq: A time quantum, in whole nanoseconds: ``brp`` periods of the controller's clock.
        prop_seg: The propagation segment, in time quanta.
        phase_seg1: Phase buffer segment 1, in time quanta.
        phase_seg2: Phase buffer segment 2, in time quanta.
        sjw: The synchronization jump width, in time quanta: by how much a bit is made longer or
            shorter at most, to follow the sender.
        brp: The bit rate prescaler, which the controller's clock is divided by. It is told by the
            kernel, and never taken.

    Source: ``linux/can/netlink.h``, ``struct can_bittiming``.

    Example:
        >>> request = BitTiming(bitrate=500_000, sample_point=800)
        >>> request.tq, request.brp  # the kernel is to choose
        (0, 0)
    """

    bitrate: int = 0
    sample_point: int = 0
    tq: int = 0
    prop_seg: int = 0
    phase_seg1: int = 0
    phase_seg2: int = 0
    sjw: int = 0
    brp: int = 0


@attrs.frozen
class BitTimingConstants:
    """What a controller's bit timing can be set to: its driver's constants.

    ``ip -details link show`` lists them with the controller's name. The data phase of CAN FD has
    constants of its own.

    Attributes:
        name: The driver's name for the controller, up to 16 bytes.
        tseg1_min: The least propagation segment and phase buffer segment 1 together, in time
            quanta.
        tseg1_max: The greatest.
        tseg2_min: The least phase buffer segment 2, in time quanta.
        tseg2_max: The greatest.
        sjw_max: The greatest synchronization jump width, in time quanta; the least is 1.
        brp_min: The least that the clock is divided by.
        brp_max: The greatest.
        brp_inc: What it is a multiple of.

    Source: ``linux/can/netlink.h``, ``struct can_bittiming_const``.

    Example:
        >>> mcp2515 = BitTimingConstants("mcp251x", 3, 16, 2, 8, 4, 1, 64, 1)
        >>> mcp2515.tseg2_max
        8
    """

    name: str = ""
    tseg1_min: int = 0
    tseg1_max: int = 0
    tseg2_min: int = 0
    tseg2_max: int = 0
    sjw_max: int = 0
    brp_min: int = 0
    brp_max: int = 0
    brp_inc: int = 0


@attrs.frozen
class TransmitterDelay:
    """The attributes in ``IFLA_CAN_TDC``: transmitter delay compensation, in clock periods.

    It goes with ``CanMode.TDC_AUTO`` or ``TDC_MANUAL``. Limits are told, and never taken.

    Attributes:
        value_min: The least ``value``.
        value_max: The greatest.
        offset_min: The least ``offset``.
        offset_max: The greatest.
        filter_min: The least ``filter``.
        filter_max: The greatest.
        value: TDCV, the delay from the controller to the bus and back.
        offset: TDCO, added to it for the second sample point.
        filter: TDCF, from where on the measured delay counts.
    """

    value_min: int | None = None
    value_max: int | None = None
    offset_min: int | None = None
    offset_max: int | None = None
    filter_min: int | None = None
    filter_max: int | None = None
    value: int | None = None
    offset: int | None = None
    filter: int | None = None


@attrs.frozen
class PulseWidth:
    """The attributes in ``IFLA_CAN_XL_PWM`` (since Linux 6.19): CAN XL's pulses, in clock periods.

    They go with ``CanMode.XL_TMS``. Limits are told, and never taken.

    Attributes:
        short_min: The least ``short``.
        short_max: The greatest.
        long_min: The least ``long``.
        long_max: The greatest.
        offset_min: The least ``offset``.
        offset_max: The greatest.
        short: PWMS, the short phase of a pulse.
        long: PWML, its long phase.
        offset: PWMO, the offset of the pulses.
    """

    short_min: int | None = None
    short_max: int | None = None
    long_min: int | None = None
    long_max: int | None = None
    offset_min: int | None = None
    offset_max: int | None = None
    short: int | None = None
    long: int | None = None
    offset: int | None = None


class _Limits:
    """How :class:`BitTimingConstants` is written: its name has a fixed size."""

    flag: Final = 0
    _layout: Final = Struct("=16s8I")

    def pack(self, value: BitTimingConstants) -> bytes:
        """Give the struct's bytes.

        Raises:
            ValueError: The name is longer than 16 bytes, or has a zero byte in it.
        """
        name, *numbers = attrs.astuple(value)
        data = name.encode("utf-8", "surrogateescape")
        if len(data) > 16 or b"\0" in data:
            raise ValueError(f"a controller's name has up to 16 bytes, none of them 0: {name!r}")
        return self._layout.pack(data, *numbers)

    def unpack(self, data: bytes) -> BitTimingConstants:
        """Give what is in the struct."""
        name, *numbers = unpack_struct(self._layout, data)
        text = name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return BitTimingConstants(text, *numbers)


def _numbered(*names: str) -> dict[int, tuple[str, Codec[Any]]]:
    return {number: (name, U32) for number, name in enumerate(names, 1)}


BIT_TIMING: Final = Record(BitTiming, Struct("=8I"))
BIT_TIMING_LIMITS: Final = _Limits()
TRANSMITTER_DELAY: Final = Nest(
    TransmitterDelay, _numbered(*attrs.fields_dict(TransmitterDelay)), NLA_F_NESTED
)
PULSE_WIDTH: Final = Nest(PulseWidth, _numbered(*attrs.fields_dict(PulseWidth)), NLA_F_NESTED)
