"""What a CAN controller is set to, and what it tells: the attributes ``IFLA_CAN_*``.

They are the data of a link of kind ``can`` (``linux/can/netlink.h``, ``drivers/net/can/dev``), both
in what the kernel tells and in what it is asked to change. A field that is None is not told, or is
to stay as it is.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

import attrs

from anycan.wire.netlink_attributes import (
    NLA_F_NESTED,
    U16,
    U32,
    Integers,
    Nest,
    Record,
)
from anycan.wire.netlink_timing import (
    BIT_TIMING,
    BIT_TIMING_LIMITS,
    PULSE_WIDTH,
    TRANSMITTER_DELAY,
    BitTiming,
    BitTimingConstants,
    PulseWidth,
    TransmitterDelay,
)

TERMINATION_DISABLED: Final = 0


class CanState(enum.IntEnum):
    """What a controller takes part in, by its error counters."""

    ERROR_ACTIVE = 0  # both counters below 96
    ERROR_WARNING = 1  # one at 96 or above
    ERROR_PASSIVE = 2  # one at 128 or above
    BUS_OFF = 3  # 256 transmit errors: it takes no part until it is restarted
    STOPPED = 4  # the interface is down
    SLEEPING = 5


class CanMode(enum.IntFlag):
    """Control modes, ``CAN_CTRLMODE_*``. From ``RESTRICTED`` on since Linux 6.19."""

    LOOPBACK = 0x0001
    LISTENONLY = 0x0002
    TRIPLE_SAMPLING = 0x0004
    ONE_SHOT = 0x0008
    BERR_REPORTING = 0x0010
    FD = 0x0020
    PRESUME_ACK = 0x0040
    FD_NON_ISO = 0x0080
    CC_LEN8_DLC = 0x0100
    TDC_AUTO = 0x0200
    TDC_MANUAL = 0x0400
    RESTRICTED = 0x0800
    XL = 0x1000
    XL_TDC_AUTO = 0x2000
    XL_TDC_MANUAL = 0x4000
    XL_TMS = 0x8000


@attrs.frozen
class CanModes:
    """A ``struct can_ctrlmode``.

    Attributes:
        mask: The :class:`CanMode` values that are to change. In what the kernel tells: 0.
        flags: Those of them that are to be on. In what the kernel tells: all that are on.
    """

    mask: int = 0
    flags: int = 0


@attrs.frozen
class CanSupportedModes:
    """The attributes in ``IFLA_CAN_CTRLMODE_EXT`` (since Linux 5.17); told, and never taken.

    Attributes:
        supported: The :class:`CanMode` values that the controller can be set to.
    """

    supported: int | None = None


@attrs.frozen
class CanErrorCounters:
    """A ``struct can_berr_counter``.

    Attributes:
        transmit: The transmit error counter.
        receive: The receive error counter.
    """

    transmit: int = 0
    receive: int = 0


@attrs.frozen
class CanStatistics:
    """A ``struct can_device_stats``: how often something has happened since the driver started.

    Attributes:
        bus_error: Bus errors.
        error_warning: Changes to error-warning.
        error_passive: Changes to error-passive.
        bus_off: Changes to bus-off.
        arbitration_lost: Arbitrations lost.
        restarts: Restarts after bus-off.
    """

    bus_error: int = 0
    error_warning: int = 0
    error_passive: int = 0
    bus_off: int = 0
    arbitration_lost: int = 0
    restarts: int = 0


@attrs.frozen
class CanParameters:
    """The attributes ``IFLA_CAN_*``.

    What can be set: the three bit timings, ``modes``, ``restart_ms``, ``restart``,
    ``termination``, the two delays and ``pulse_width``; all but ``restart`` and ``termination``
    while the interface is down alone. The rest is told.

    Attributes:
        bit_timing: Of classical CAN, and of the arbitration phase.
        bit_timing_limits: What it can be.
        clock: The controller's clock, in hertz.
        state: A :class:`CanState`; a newer kernel may have more of them.
        modes: The control modes.
        restart_ms: After how many milliseconds of bus-off it restarts by itself; 0: never.
        restart: 1: restart it now; it has to be bus-off, and ``restart_ms`` 0.
        error_counters: Its error counters; None where the driver has no way to ask.
        data_bit_timing: Of CAN FD's data phase.
        data_bit_timing_limits: What it can be.
        termination: The resistor between the wires, in ohms; 0: none.
        terminations: What ``termination`` can be.
        bitrates: The bit rates there are, of a controller that has no ``bit_timing_limits``.
        data_bitrates: Those of CAN FD's data phase.
        bitrate_max: The greatest bit rate that the transceiver takes; 0: unknown.
        delay: Transmitter delay compensation.
        supported_modes: What the controller can be set to.
        xl_bit_timing: Of CAN XL's data phase.
        xl_bit_timing_limits: What it can be.
        xl_bitrates: The bit rates of CAN XL's data phase.
        xl_delay: Transmitter delay compensation of CAN XL.
        pulse_width: CAN XL's pulses.
    """

    bit_timing: BitTiming | None = None
    bit_timing_limits: BitTimingConstants | None = None
    clock: int | None = None
    state: int | None = None
    modes: CanModes | None = None
    restart_ms: int | None = None
    restart: int | None = None
    error_counters: CanErrorCounters | None = None
    data_bit_timing: BitTiming | None = None
    data_bit_timing_limits: BitTimingConstants | None = None
    termination: int | None = None
    terminations: tuple[int, ...] | None = None
    bitrates: tuple[int, ...] | None = None
    data_bitrates: tuple[int, ...] | None = None
    bitrate_max: int | None = None
    delay: TransmitterDelay | None = None
    supported_modes: CanSupportedModes | None = None
    xl_bit_timing: BitTiming | None = None
    xl_bit_timing_limits: BitTimingConstants | None = None
    xl_bitrates: tuple[int, ...] | None = None
    xl_delay: TransmitterDelay | None = None
    pulse_width: PulseWidth | None = None


_MODES: Final = Record(CanModes, Struct("=II"))
_COUNTERS: Final = Record(CanErrorCounters, Struct("=HH"))
_U16S: Final = Integers("H")
_U32S: Final = Integers("I")
_SUPPORTED: Final = Nest(CanSupportedModes, {1: ("supported", U32)}, NLA_F_NESTED)

CAN_STATISTICS: Final = Record(CanStatistics, Struct("=6I"))
"""How the extra statistics of a link of kind ``can`` are written."""

CAN_PARAMETERS: Final = Nest(
    CanParameters,
    {
        1: ("bit_timing", BIT_TIMING),
        2: ("bit_timing_limits", BIT_TIMING_LIMITS),
        3: ("clock", U32),
        4: ("state", U32),
        5: ("modes", _MODES),
        6: ("restart_ms", U32),
        7: ("restart", U32),
        8: ("error_counters", _COUNTERS),
        9: ("data_bit_timing", BIT_TIMING),
        10: ("data_bit_timing_limits", BIT_TIMING_LIMITS),
        11: ("termination", U16),
        12: ("terminations", _U16S),
        13: ("bitrates", _U32S),
        14: ("data_bitrates", _U32S),
        15: ("bitrate_max", U32),
        16: ("delay", TRANSMITTER_DELAY),
        17: ("supported_modes", _SUPPORTED),
        18: ("xl_bit_timing", BIT_TIMING),
        19: ("xl_bit_timing_limits", BIT_TIMING_LIMITS),
        20: ("xl_bitrates", _U32S),
        21: ("xl_delay", TRANSMITTER_DELAY),
        22: ("pulse_width", PULSE_WIDTH),
    },
)
"""How the data of a link of kind ``can`` are written."""
