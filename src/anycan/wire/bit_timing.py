"""Bit timing from a bit rate, as the kernel calculates it (``net/can/dev/calc_bittiming.c``).

A bit is cut into time quanta of ``brp / clock`` seconds: one to synchronize, then the propagation
segment and phase buffer segment 1 (together: tseg1) up to the sample point, then phase buffer
segment 2 (tseg2). Of the ways of cutting it that a controller has, the nearest to the bit rate is
taken; of those the one that samples latest, but not after the sample point wanted; of those the
finest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from anycan.wire.netlink_timing import BitTiming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan.wire.netlink_timing import BitTimingConstants

_TOLERANCE: Final = 50  # CAN_CALC_MAX_ERROR, in tenths of a percent


@attrs.frozen
class CalculatedBitTiming:
    """What :func:`calc_bit_timing` finds: a bit timing, and how near it comes to what was wanted.

    Attributes:
        timing: The bit timing as the kernel has it and reads it back: in whole bits a second,
            tenths of a percent and nanoseconds, each rounded down.
        bitrate: Bits a second, not rounded.
        bitrate_error: By how much ``bitrate`` is above the one wanted or, negative, below it, as a
            share of the one wanted: 0.01 is 1 %.
        sample_point: Where a bit is sampled, as a share of the bit time, not rounded.
        sample_point_error: By how much ``sample_point`` is after the one wanted or, negative,
            before it, as a share of the bit time.
    """

    timing: BitTiming
    bitrate: float
    bitrate_error: float
    sample_point: float
    sample_point_error: float


class _Division(NamedTuple):
    """A bit of ``quanta`` time quanta, each of them ``brp`` periods of the clock."""

    brp: int
    quanta: int
    deviation: int  # from the bit rate wanted, in whole bits a second, as the kernel compares it


def calc_bit_timing(
    clock: int,
    bitrate: int,
    *,
    constants: BitTimingConstants,
    sample_point: float | None = None,
    sjw: int | None = None,
) -> CalculatedBitTiming:
    """Calculate the bit timing that the kernel would choose, without an interface.

    The result is that of Linux 6.3 and later, except where that is none the controller has: here,
    no segment is shorter than its least, and no default ``sjw`` above ``sjw_max``. And where the
    kernel misses the sample point it was asked for, and says nothing, this is an error.

    Args:
        clock: What the controller divides by ``brp``, in Hz, as its driver tells it. It may be less
            than the crystal has: half of that with an MCP2515.
        bitrate: The bit rate wanted, in bits a second: that of the arbitration phase or, with the
            constants for it, that of the data phase.
        constants: What the controller can be set to.
        sample_point: The sample point wanted, as a share of the bit time from 0.001 to 0.999,
            rounded to tenths of a percent. None: what CiA recommends (0.75 above 800 kbit/s, 0.8
            above 500 kbit/s, else 0.875) or, however far off, what comes nearest before it.
        sjw: The synchronization jump width, in time quanta: 1 or more, and not above ``sjw_max``,
            ``phase_seg1`` or ``phase_seg2``. None: half of ``phase_seg2``, within these bounds.

    Returns:
        The bit timing, with its true bit rate and sample point and their errors.

    Raises:
        ValueError: The bit rate cannot be reached within 5 %; the sample point asked for cannot be
            reached within 5 % of the bit time, or is later than any that the constants allow;
            ``sjw`` is out of range; or an argument is one that no controller has.

    Source: ``drivers/net/can/dev/calc_bittiming.c`` and ``bittiming.c`` of Linux 6.12.

    Example:
        >>> sja1000 = BitTimingConstants(
        ...     name="sja1000",
        ...     tseg1_min=1,
        ...     tseg1_max=16,
        ...     tseg2_min=1,
        ...     tseg2_max=8,
        ...     sjw_max=4,
        ...     brp_min=1,
        ...     brp_max=64,
        ...     brp_inc=1,
        ... )
        >>> found = calc_bit_timing(8_000_000, 500_000, constants=sja1000)
        >>> found.timing.brp, found.timing.tq
        (1, 125)
        >>> found.timing.prop_seg, found.timing.phase_seg1, found.timing.phase_seg2
        (6, 7, 2)
        >>> found.sample_point, found.sample_point_error
        (0.875, 0.0)
        >>> f"{calc_bit_timing(8_000_000, 300_000, constants=sja1000).bitrate_error:+.2%}"
        '-1.23%'
    """
    _check(clock, bitrate, constants, sample_point)
    wanted = _recommended(bitrate) if sample_point is None else round(sample_point * 1000)
    divisions = [
        division
        for division in _divisions(clock, bitrate, constants)
        if division.deviation * 1000 // bitrate <= _TOLERANCE
    ]
    if not divisions:
        raise ValueError(
            f"bit rate {bitrate} not reachable; {_name(constants)} with a clock of {clock} Hz takes"
            f" {_segments(constants)}, brp {constants.brp_min}..{constants.brp_max}: nearest is "
            f"{_nearest_bitrate(clock, bitrate, constants)}"
        )
    found = _best(divisions, wanted, constants)
    if found is None or (sample_point is not None and _is_missed(wanted, *found, constants)):
        raise ValueError(
            f"sample point {wanted / 1000:g} not reachable; {_name(constants)} takes "
            f"{_segments(constants)}: nearest at {bitrate} bit/s is "
            f"{_nearest_sample_point(divisions, wanted, constants):.3g}"
        )
    return _calculated(clock, bitrate, wanted, sjw, *found, constants)


def _recommended(bitrate: int) -> int:
    """Give CiA's sample point for a bit rate, in tenths of a percent."""
    if bitrate > 800_000:
        return 750
    return 800 if bitrate > 500_000 else 875


def _quanta(constants: BitTimingConstants) -> range:
    """Give the numbers of time quanta that a bit can have, from the most downwards."""
    fewest = 1 + max(1, constants.tseg1_min) + max(1, constants.tseg2_min)
    return range(1 + constants.tseg1_max + constants.tseg2_max, fewest - 1, -1)


def _divisions(clock: int, bitrate: int, constants: BitTimingConstants) -> Iterator[_Division]:
    """Give the ways of cutting a bit that come next to the bit rate, the finest first."""
    for quanta in _quanta(constants):
        exact = clock // (quanta * bitrate)
        for rounded in (exact + 1, exact):
            brp = rounded - rounded % constants.brp_inc
            if constants.brp_min <= brp <= constants.brp_max:
                yield _Division(brp, quanta, abs(clock // (brp * quanta) - bitrate))


def _sampled_within(quanta: int, constants: BitTimingConstants) -> tuple[int, int]:
    """Give the least and the greatest number of quanta before the sample point, of all quanta."""
    return (
        max(1 + max(1, constants.tseg1_min), quanta - constants.tseg2_max),
        min(1 + constants.tseg1_max, quanta - max(1, constants.tseg2_min)),
    )


def _best(
    divisions: list[_Division], wanted: int, constants: BitTimingConstants
) -> tuple[_Division, int] | None:
    """Give the best division and its quanta before the sample point; None: all sample too late."""
    found: tuple[_Division, int] | None = None
    least: tuple[int, int] | None = None
    for division in divisions:
        earliest, latest = _sampled_within(division.quanta, constants)
        # The most that is, in tenths of a percent rounded down, not more than wanted.
        before = min(latest, ((wanted + 1) * division.quanta - 1) // 1000)
        if before < earliest:
            continue
        errors = (division.deviation, wanted - before * 1000 // division.quanta)
        if least is None or errors < least:  # of equal ones the first, which is the finest
            found, least = (division, before), errors
    return found


def _is_missed(
    wanted: int, division: _Division, before: int, constants: BitTimingConstants
) -> bool:
    """Tell whether a sample point is too far off, or was asked for beyond what there is."""
    most = 1 + constants.tseg1_max
    latest = -(-most * 1000 // (most + max(1, constants.tseg2_min)))  # as it may be rounded
    return wanted > latest or wanted - before * 1000 // division.quanta > _TOLERANCE


def _calculated(
    clock: int,
    bitrate: int,
    wanted: int,
    sjw: int | None,
    division: _Division,
    before: int,
    constants: BitTimingConstants,
) -> CalculatedBitTiming:
    brp, quanta, _ = division
    prop_seg = (before - 1) // 2
    phase_seg1 = before - 1 - prop_seg
    phase_seg2 = quanta - before
    highest = min(constants.sjw_max, phase_seg1, phase_seg2)
    if sjw is None:
        sjw = max(1, min(highest, phase_seg2 // 2))
    elif not 1 <= sjw <= highest:
        raise ValueError(
            f"sjw {sjw} out of range; with sjw_max {constants.sjw_max} of {_name(constants)}, and "
            f"phase_seg1 {phase_seg1} and phase_seg2 {phase_seg2} at {bitrate} bit/s, it is "
            f"1..{highest}"
        )
    periods = brp * quanta
    return CalculatedBitTiming(
        BitTiming(
            bitrate=clock // periods,
            sample_point=before * 1000 // quanta,
            tq=brp * 1_000_000_000 // clock,
            prop_seg=prop_seg,
            phase_seg1=phase_seg1,
            phase_seg2=phase_seg2,
            sjw=sjw,
            brp=brp,
        ),
        bitrate=clock / periods,
        bitrate_error=(clock - bitrate * periods) / (bitrate * periods),
        sample_point=before / quanta,
        sample_point_error=(before * 1000 - wanted * quanta) / (1000 * quanta),
    )


def _check(
    clock: int, bitrate: int, constants: BitTimingConstants, sample_point: float | None
) -> None:
    for name, value, unit in (("clock", clock, "Hz"), ("bitrate", bitrate, "bits a second")):
        given: object = value  # a command line or a file may say anything
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            raise ValueError(f"{name} is a whole number of {unit}, 1 or more, and not {given!r}")
    if sample_point is not None and not 1 <= sample_point * 1000 <= 999:
        raise ValueError(
            "sample_point is a share of the bit time from 0.001 to 0.999, such as 0.875, and not "
            f"{sample_point!r}"
        )
    least, greatest, step = constants.brp_min, constants.brp_max, constants.brp_inc
    if not (
        0 <= constants.tseg1_min <= constants.tseg1_max >= 1
        and 0 <= constants.tseg2_min <= constants.tseg2_max >= 1
        and constants.sjw_max >= 1
        and step >= 1 <= least <= greatest - greatest % step
    ):
        raise ValueError(
            "no controller has such constants: each greatest value is 1 or more and not below its "
            "least, brp_min and brp_inc are 1 or more, and a multiple of brp_inc is between "
            f"brp_min and brp_max: {constants}"
        )


def _name(constants: BitTimingConstants) -> str:
    return constants.name or "the controller"


def _segments(constants: BitTimingConstants) -> str:
    return (
        f"tseg1 {constants.tseg1_min}..{constants.tseg1_max}, "
        f"tseg2 {constants.tseg2_min}..{constants.tseg2_max}"
    )


def _nearest_bitrate(clock: int, bitrate: int, constants: BitTimingConstants) -> int:
    """Give the bit rate nearest to one that is out of reach, in whole bits a second."""
    step = constants.brp_inc
    least = -(-constants.brp_min // step) * step
    greatest = constants.brp_max // step * step
    rates = (
        clock // (min(max(brp, least), greatest) * quanta)
        for quanta in _quanta(constants)
        for below in [clock // (quanta * bitrate) // step * step]
        for brp in (below, below + step)
    )
    return min(rates, key=lambda rate: abs(rate - bitrate))


def _nearest_sample_point(
    divisions: list[_Division], wanted: int, constants: BitTimingConstants
) -> float:
    """Give the sample point nearest to one that is out of reach, as a share of the bit time."""
    least = min(division.deviation for division in divisions)
    points = (
        min(max(round(wanted * quanta / 1000), earliest), latest) / quanta
        for _, quanta, deviation in divisions
        if deviation == least
        for earliest, latest in [_sampled_within(quanta, constants)]
    )
    return min(points, key=lambda point: abs(point - wanted / 1000))
