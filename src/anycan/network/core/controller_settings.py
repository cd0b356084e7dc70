"""What a controller is set to, and what it can be set to: the kernel's rules for a change."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import attrs

from anycan.wire.bit_timing import calc_bit_timing
from anycan.wire.netlink_can import CanMode, CanModes, CanParameters, CanSupportedModes
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants

if TYPE_CHECKING:
    from anycan.wire.netlink_can import CanState

DEFAULT_CLOCK: Final = 80_000_000
DEFAULT_CONSTANTS: Final = BitTimingConstants("user", 2, 256, 2, 128, 128, 1, 512, 1)
DEFAULT_DATA_CONSTANTS: Final = BitTimingConstants("user", 1, 32, 1, 16, 16, 1, 32, 1)

_GREATEST_RESTART: Final = 4_294_967  # what 32 bits of milliseconds hold
_NO_MODE: Final = CanMode(0)
_CLASSICAL_MODES: Final = (
    CanMode.LOOPBACK
    | CanMode.LISTENONLY
    | CanMode.ONE_SHOT
    | CanMode.BERR_REPORTING
    | CanMode.PRESUME_ACK
    | CanMode.CC_LEN8_DLC
)
_FLEXIBLE_MODES: Final = CanMode.FD | CanMode.FD_NON_ISO


@attrs.frozen(kw_only=True)
class ControllerSettings:
    """What a controller is set to.

    Attributes:
        clock: What bit timings divide, in Hz.
        constants: What its bit timing can be.
        data_constants: What the bit timing of CAN FD's data phase can be; None: it is a controller
            of classical CAN alone.
        bit_timing: Its bit timing; None: not set.
        data_bit_timing: That of CAN FD's data phase; None: not set.
        modes: The control modes that are on.
        restart_ms: After how many milliseconds of bus-off it restarts by itself; 0: never.
        termination: The resistor between the wires, in ohms; 0: none.
        terminations: What ``termination`` can be.

    Source: ``drivers/net/can/dev/netlink.c``, ``can_validate`` and ``can_changelink``.
    """

    clock: int = DEFAULT_CLOCK
    constants: BitTimingConstants = DEFAULT_CONSTANTS
    data_constants: BitTimingConstants | None = DEFAULT_DATA_CONSTANTS
    bit_timing: BitTiming | None = None
    data_bit_timing: BitTiming | None = None
    modes: CanMode = _NO_MODE
    restart_ms: int = 0
    termination: int = 0
    terminations: tuple[int, ...] = (0, 120)

    @property
    def supported_modes(self) -> CanMode:
        """What can be on."""
        if self.data_constants is None:
            return _CLASSICAL_MODES
        return _CLASSICAL_MODES | _FLEXIBLE_MODES

    @property
    def bitrate(self) -> int:
        """The bit rate; 0: not set."""
        return 0 if self.bit_timing is None else self.bit_timing.bitrate

    @property
    def data_bitrate(self) -> int:
        """The bit rate of CAN FD's data phase; 0: not set."""
        return 0 if self.data_bit_timing is None else self.data_bit_timing.bitrate

    @property
    def flexible(self) -> bool:
        """Whether CAN FD is on."""
        return bool(self.modes & CanMode.FD)

    def parameters(self, state: CanState) -> CanParameters:
        """Give what netlink tells of them, but for the error counters."""
        return CanParameters(
            bit_timing=self.bit_timing,
            bit_timing_limits=self.constants,
            clock=self.clock,
            state=state,
            modes=CanModes(0, int(self.modes)),
            restart_ms=self.restart_ms,
            data_bit_timing=self.data_bit_timing,
            data_bit_timing_limits=self.data_constants,
            termination=self.termination,
            terminations=self.terminations,
            bitrate_max=0,
            supported_modes=CanSupportedModes(int(self.supported_modes)),
        )

    def check_start(self) -> None:
        """See to it that the controller can take part in a bus.

        Raises:
            OSError: EINVAL: it has no bit timing, or none that CAN FD can do with.

        Source: ``drivers/net/can/dev/dev.c``, ``open_candev``.
        """
        if not self.bitrate:
            raise OSError(errno.EINVAL, "it has no bit rate yet")
        if not self.flexible:
            return
        if not self.data_bitrate:
            raise OSError(errno.EINVAL, "it is to send CAN FD, and has no data bit rate yet")
        if self.data_bitrate < self.bitrate:
            raise OSError(errno.EINVAL, "its data bit rate is below its bit rate")

    def with_flexible(self, *, on: bool) -> ControllerSettings:
        """Give the same with CAN FD on or off, as another MTU has it."""
        modes = self.modes | CanMode.FD if on else self.modes & ~CanMode.FD
        return attrs.evolve(self, modes=modes)

    def changed(self, request: CanParameters, *, up: bool) -> ControllerSettings:
        """Give them as they are after a change.

        Args:
            request: What is to be changed; what it tells only is not looked at, nor is
                ``restart``.
            up: The interface is up, so that all but the termination stays as it is.

        Raises:
            OSError: EBUSY: the interface is up. EOPNOTSUPP: the controller has no such mode or
                setting, or CAN FD is to be on without both bit timings. EINVAL: a bit timing is
                out of reach, which the error's text explains, or there is no such termination.
        """
        _validate(request)
        resting = (
            request.bit_timing,
            request.data_bit_timing,
            request.modes,
            request.restart_ms,
        )
        if up and any(one is not None for one in resting):
            raise OSError(errno.EBUSY, "it is up: that is changed while it is down")
        settings = self
        if request.modes is not None:
            settings = attrs.evolve(settings, modes=self._changed_modes(request.modes))
            if not settings.flexible:
                settings = attrs.evolve(settings, data_bit_timing=None)
        if request.bit_timing is not None:
            timing = _timed(request.bit_timing, self.clock, self.constants)
            settings = attrs.evolve(settings, bit_timing=timing)
        if request.restart_ms is not None:
            settings = attrs.evolve(settings, restart_ms=request.restart_ms)
        if request.data_bit_timing is not None and self.data_constants is not None:
            timing = _timed(request.data_bit_timing, self.clock, self.data_constants)
            settings = attrs.evolve(settings, data_bit_timing=timing)
        if request.termination is not None:
            settings = attrs.evolve(settings, termination=self._checked(request.termination))
        return settings

    def _checked(self, termination: int) -> int:
        if termination not in self.terminations:
            raise OSError(
                errno.EINVAL,
                f"its termination is one of {self.terminations} ohms, not {termination}",
            )
        return termination

    def _changed_modes(self, change: CanModes) -> CanMode:
        wanted = change.flags & change.mask
        unknown = wanted & ~int(self.supported_modes)
        if unknown:
            name = CanMode(unknown).name or hex(unknown)
            raise OSError(errno.EOPNOTSUPP, f"it has no mode {name}")
        return CanMode(int(self.modes) & ~change.mask | wanted)


def settings_for(
    controller: ControllerSettings,
    *,
    bitrate: int | None,
    data_bitrate: int | None,
    restart: float,
) -> ControllerSettings:
    """Give a controller's settings, set to bit rates and a time to restart.

    Args:
        controller: The controller, not set.
        bitrate: The bit rate, in bits a second; None: not set.
        data_bitrate: That of CAN FD's data phase, which turns CAN FD on.
        restart: After how many seconds of bus-off it restarts by itself; 0: never.

    Raises:
        OSError: It cannot be set so; the text says why.
        ValueError: ``restart`` is out of range.
    """
    restart_ms = round(restart * 1000) if 0 <= restart <= _GREATEST_RESTART else None
    if restart_ms is None or (restart and not restart_ms):
        raise ValueError(
            f"restart= is a time in seconds, from 0.001 to {_GREATEST_RESTART}, or 0 for never;"
            f" not {restart!r}"
        )
    flexible = data_bitrate is not None
    return controller.changed(
        CanParameters(
            bit_timing=None if bitrate is None else BitTiming(bitrate=bitrate),
            data_bit_timing=None if data_bitrate is None else BitTiming(bitrate=data_bitrate),
            modes=CanModes(CanMode.FD, CanMode.FD) if flexible else None,
            restart_ms=restart_ms,
        ),
        up=False,
    )


def _validate(request: CanParameters) -> None:
    """Refuse what does not go together, whatever the controller is."""
    modes = request.modes
    flexible = modes is not None and bool(modes.flags & modes.mask & CanMode.FD)
    timings = (request.bit_timing, request.data_bit_timing)
    if any(one is not None and one.sample_point >= 1000 for one in timings):
        raise OSError(errno.EINVAL, "a sample point is below 100 % of the bit time")
    if flexible and None in timings:
        raise OSError(errno.EOPNOTSUPP, "CAN FD is turned on together with both bit timings alone")
    if request.data_bit_timing is not None and not flexible:
        raise OSError(
            errno.EOPNOTSUPP, "a data bit timing is set together with turning CAN FD on alone"
        )
    others = (request.delay, request.xl_bit_timing, request.xl_delay, request.pulse_width)
    if any(one is not None for one in others):
        raise OSError(
            errno.EOPNOTSUPP, "it has neither transmitter delay compensation nor CAN XL to set"
        )


def _timed(wanted: BitTiming, clock: int, constants: BitTimingConstants) -> BitTiming:
    """Give the bit timing that a controller has when it is set to one."""
    if bool(wanted.tq) == bool(wanted.bitrate):
        raise OSError(errno.EINVAL, "a bit timing is set by its bit rate, or else by its tq")
    if wanted.tq:
        return _fixed(wanted, clock, constants)
    try:
        found = calc_bit_timing(
            clock,
            wanted.bitrate,
            constants=constants,
            sample_point=wanted.sample_point / 1000 if wanted.sample_point else None,
            sjw=wanted.sjw or None,
        )
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from None
    return found.timing


def _fixed(wanted: BitTiming, clock: int, constants: BitTimingConstants) -> BitTiming:
    """Give the nearest that a controller has to a bit timing in nanoseconds and time quanta.

    Source: ``drivers/net/can/dev/bittiming.c``, ``can_fixup_bittiming``.
    """
    tseg1, tseg2 = wanted.prop_seg + wanted.phase_seg1, wanted.phase_seg2
    sjw = wanted.sjw or max(1, min(wanted.phase_seg1, tseg2 // 2))
    step = constants.brp_inc
    brp = (clock * wanted.tq // step + 499_999_999) // 1_000_000_000 * step
    for name, value, least, greatest in (
        ("prop_seg and phase_seg1 together", tseg1, constants.tseg1_min, constants.tseg1_max),
        ("phase_seg2", tseg2, constants.tseg2_min, constants.tseg2_max),
        ("sjw", sjw, 1, min(constants.sjw_max, wanted.phase_seg1, tseg2)),
        ("the clock's divisor", brp, constants.brp_min, constants.brp_max),
    ):
        if not least <= value <= greatest:
            raise OSError(errno.EINVAL, f"{name} can be {least} to {greatest}, and not {value}")
    quanta = 1 + tseg1 + tseg2
    return attrs.evolve(
        wanted,
        bitrate=clock // (brp * quanta),
        sample_point=(1 + tseg1) * 1000 // quanta,
        tq=(brp * 1_000_000_000 + clock // 2) // clock,
        sjw=sjw,
        brp=brp,
    )
