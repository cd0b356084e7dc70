"""Bit timings against published ones, and against every timing that a controller can have."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.wire.bit_timing import calc_bit_timing
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants

if TYPE_CHECKING:
    from collections.abc import Iterator

SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
MCP251X = BitTimingConstants("mcp251x", 3, 16, 2, 8, 4, 1, 64, 1)
MCP251XFD = BitTimingConstants("mcp251xfd", 2, 256, 1, 128, 128, 1, 256, 1)
MCP251XFD_DATA = BitTimingConstants("mcp251xfd", 1, 32, 1, 16, 16, 1, 256, 1)
M_CAN = BitTimingConstants("m_can", 2, 256, 2, 128, 128, 1, 512, 1)
M_CAN_DATA = BitTimingConstants("m_can", 1, 32, 1, 16, 16, 1, 32, 1)
ES58X = BitTimingConstants("ES582.1/ES584.1", 2, 256, 2, 128, 128, 1, 512, 1)
ES58X_DATA = BitTimingConstants("ES582.1/ES584.1", 2, 32, 1, 16, 8, 1, 32, 1)
UNEVEN = BitTimingConstants("uneven", 1, 10, 3, 8, 4, 1, 64, 1)
LONG = BitTimingConstants("long", 5, 6, 1, 4, 4, 1, 8, 1)
SHORT = BitTimingConstants("short", 3, 6, 1, 2, 4, 1, 8, 1)
ROCKCHIP = BitTimingConstants("rockchip_canfd", 1, 256, 1, 128, 128, 2, 256, 2)


@pytest.mark.parametrize(
    ("constants", "clock", "bitrate", "expected"),
    [
        # can-calc-bit-timing of can-utils 2020.11, with -c for the clock.
        (SJA1000, 8_000_000, 1_000_000, BitTiming(1_000_000, 750, 125, 2, 3, 2, 1, 1)),
        (SJA1000, 8_000_000, 800_000, BitTiming(800_000, 800, 125, 3, 4, 2, 1, 1)),
        (SJA1000, 8_000_000, 500_000, BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1)),
        (SJA1000, 8_000_000, 250_000, BitTiming(250_000, 875, 250, 6, 7, 2, 1, 2)),
        (SJA1000, 8_000_000, 125_000, BitTiming(125_000, 875, 500, 6, 7, 2, 1, 4)),
        (SJA1000, 8_000_000, 33_333, BitTiming(33_333, 875, 1875, 6, 7, 2, 1, 15)),
        (SJA1000, 8_000_000, 10_000, BitTiming(10_000, 875, 6250, 6, 7, 2, 1, 50)),
        (MCP251X, 4_000_000, 500_000, BitTiming(500_000, 750, 250, 2, 3, 2, 1, 1)),
        (MCP251X, 4_000_000, 250_000, BitTiming(250_000, 875, 250, 6, 7, 2, 1, 1)),
        (MCP251X, 4_000_000, 100_000, BitTiming(100_000, 850, 500, 8, 8, 3, 1, 2)),
        (MCP251X, 5_000_000, 800_000, BitTiming(833_333, 666, 200, 1, 2, 2, 1, 1)),
        (MCP251X, 5_000_000, 500_000, BitTiming(500_000, 800, 200, 3, 4, 2, 1, 1)),
        (MCP251X, 5_000_000, 125_000, BitTiming(125_000, 850, 400, 8, 8, 3, 1, 2)),
        (MCP251X, 10_000_000, 1_000_000, BitTiming(1_000_000, 700, 100, 3, 3, 3, 1, 1)),
        (MCP251X, 10_000_000, 800_000, BitTiming(769_230, 769, 100, 4, 5, 3, 1, 1)),
        # ip -details link show as published: of a Linux 6.18, and with the commit "can: mcp251xfd:
        # fix TDC setting for low data bit rates".
        (MCP251X, 6_000_000, 1_000_000, BitTiming(1_000_000, 666, 166, 1, 2, 2, 1, 1)),
        (MCP251XFD, 40_000_000, 125_000, BitTiming(125_000, 875, 50, 69, 70, 20, 10, 2)),
        (MCP251XFD_DATA, 40_000_000, 500_000, BitTiming(500_000, 875, 125, 6, 7, 2, 1, 5)),
        (MCP251XFD, 40_000_000, 1_000_000, BitTiming(1_000_000, 750, 25, 14, 15, 10, 5, 1)),
        (MCP251XFD_DATA, 40_000_000, 4_000_000, BitTiming(4_000_000, 700, 25, 3, 3, 3, 1, 1)),
        # The same of a Linux before 6.3, which gave 1 for sjw: two boards with M_CAN, and the mail
        # that has "can: netlink: clear data_bittiming if fd is turned off".
        (M_CAN, 50_800_000, 1_000_000, BitTiming(996_078, 745, 19, 18, 19, 13, 6, 1)),
        (M_CAN_DATA, 50_800_000, 2_000_000, BitTiming(2_032_000, 720, 19, 8, 9, 7, 3, 1)),
        (M_CAN, 40_000_000, 500_000, BitTiming(500_000, 875, 25, 34, 35, 10, 5, 1)),
        (M_CAN_DATA, 40_000_000, 4_000_000, BitTiming(4_000_000, 700, 25, 3, 3, 3, 1, 1)),
        (ES58X, 80_000_000, 500_000, BitTiming(500_000, 875, 12, 69, 70, 20, 10, 1)),
        (ES58X_DATA, 80_000_000, 2_000_000, BitTiming(2_000_000, 750, 12, 14, 15, 10, 5, 1)),
        # By hand: 20, 8 and 16 quanta of one period.
        (M_CAN_DATA, 40_000_000, 2_000_000, BitTiming(2_000_000, 750, 25, 7, 7, 5, 2, 1)),
        (M_CAN_DATA, 40_000_000, 5_000_000, BitTiming(5_000_000, 750, 25, 2, 3, 2, 1, 1)),
        (M_CAN_DATA, 80_000_000, 5_000_000, BitTiming(5_000_000, 750, 12, 5, 6, 4, 2, 1)),
        # By hand: of 300 quanta of two periods tseg1 could not be 261; of 150 it is 130.
        (ROCKCHIP, 300_000_000, 500_000, BitTiming(500_000, 873, 13, 65, 65, 19, 9, 4)),
    ],
)
def test_published_timings(
    constants: BitTimingConstants, clock: int, bitrate: int, expected: BitTiming
) -> None:
    assert calc_bit_timing(clock, bitrate, constants=constants).timing == expected


@pytest.mark.parametrize(
    ("bitrate", "recommended"),
    [(500_000, 0.875), (500_001, 0.8), (800_000, 0.8), (800_001, 0.75), (8_000_000, 0.75)],
)
def test_the_sample_point_is_the_recommended_one(bitrate: int, recommended: float) -> None:
    # 200 periods a bit, so that each of them is met.
    found = calc_bit_timing(bitrate * 200, bitrate, constants=M_CAN)
    assert found.sample_point == recommended
    assert found.sample_point_error == 0


def test_the_errors_are_signed_and_not_rounded() -> None:
    found = calc_bit_timing(5_000_000, 800_000, constants=MCP251X)
    assert found.bitrate == 5_000_000 / 6
    assert found.bitrate_error == pytest.approx(1 / 24)
    assert found.sample_point == 4 / 6
    assert found.sample_point_error == pytest.approx(4 / 6 - 0.8)
    slower = calc_bit_timing(10_000_000, 800_000, constants=MCP251X)
    assert slower.bitrate_error == pytest.approx(12 / 13 / 0.96 - 1)
    assert slower.bitrate_error < 0


def test_of_equal_timings_the_finest() -> None:
    # 66 of 80 quanta and 33 of 40 are the same sample point; before Linux 5.19 it was the latter.
    found = calc_bit_timing(40_000_000, 500_000, constants=M_CAN, sample_point=0.83)
    assert (found.sample_point, found.timing.brp) == (0.825, 1)


def test_of_equal_bit_rates_the_slower() -> None:
    ten_quanta = BitTimingConstants("", 6, 6, 3, 3, 1, 1, 32, 1)
    # 420 kbit/s with 20 periods a quantum, 400 kbit/s with 21.
    found = calc_bit_timing(84_000_000, 410_000, constants=ten_quanta)
    assert found.bitrate == 400_000


def test_sampling_is_not_later_than_wanted() -> None:
    # 14 of 20 quanta are a tenth of a percent more.
    found = calc_bit_timing(40_000_000, 2_000_000, constants=M_CAN_DATA, sample_point=0.699)
    assert found.sample_point == 13 / 20


def test_the_bit_rate_comes_before_the_sample_point() -> None:
    # 16 quanta would give 0.875, of a bit rate that is 6 % off; or, of 255,000 bit/s, 4 %.
    for bitrate in (250_000, 255_000):
        found = calc_bit_timing(17 * 250_000, bitrate, constants=SJA1000)
        assert found.bitrate == 250_000
        assert found.sample_point == 14 / 17


def test_a_sample_point_is_rounded_to_tenths_of_a_percent() -> None:
    # A third of the bit time is 333 tenths of a percent, and is not missed for the rest of it.
    constants = BitTimingConstants("", 1, 4, 1, 8, 4, 1, 8, 1)
    found = calc_bit_timing(6_000_000, 1_000_000, constants=constants, sample_point=1 / 3)
    assert found.sample_point == 1 / 3
    assert found.timing.sample_point == 333


def test_a_default_sjw_is_within_the_constants() -> None:
    narrow = attrs.evolve(M_CAN, sjw_max=4)
    assert calc_bit_timing(40_000_000, 500_000, constants=narrow).timing.sjw == 4


@pytest.mark.parametrize("sjw", [1, 2])
def test_an_sjw_within_the_segments(sjw: int) -> None:
    assert calc_bit_timing(8_000_000, 500_000, constants=SJA1000, sjw=sjw).timing.sjw == sjw


@pytest.mark.parametrize("sjw", [-1, 0, 3, 5])
def test_an_sjw_out_of_range(sjw: int) -> None:
    text = (
        f"sjw {sjw} out of range; with sjw_max 4 of sja1000, and phase_seg1 7 and phase_seg2 2 at "
        "500000 bit/s, it is 1..2"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        calc_bit_timing(8_000_000, 500_000, constants=SJA1000, sjw=sjw)


@pytest.mark.parametrize(("sjw_max", "segment"), [(4, "sjw_max"), (128, "phase_seg1")])
def test_what_else_bounds_an_sjw(sjw_max: int, segment: str) -> None:
    constants = attrs.evolve(M_CAN_DATA, sjw_max=sjw_max)
    found = calc_bit_timing(16_000_000, 500_000, constants=constants, sample_point=0.5).timing
    highest = {"sjw_max": sjw_max, "phase_seg1": found.phase_seg1}[segment]
    assert highest < found.phase_seg2
    with pytest.raises(ValueError, match=rf"it is 1\.\.{highest}$"):
        calc_bit_timing(16_000_000, 500_000, constants=constants, sample_point=0.5, sjw=highest + 1)


@pytest.mark.parametrize(
    ("bitrate", "nearest"),
    [
        (3_000_000, 2_666_666),  # 3 quanta of one period are the shortest bit
        (2_000, 5_000),  # 25 quanta of 64 periods are the longest
    ],
)
def test_a_bit_rate_out_of_reach(bitrate: int, nearest: int) -> None:
    text = (
        f"bit rate {bitrate} not reachable; sja1000 with a clock of 8000000 Hz takes tseg1 1..16, "
        f"tseg2 1..8, brp 1..64: nearest is {nearest}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        calc_bit_timing(8_000_000, bitrate, constants=SJA1000)
    assert calc_bit_timing(8_000_000, nearest, constants=SJA1000).timing.bitrate == nearest


@pytest.mark.parametrize(
    ("bitrate", "reachable"),
    [(951_474, False), (951_475, True), (1_053_740, True), (1_053_741, False)],
)
def test_the_tolerance_of_a_bit_rate(bitrate: int, reachable: bool) -> None:
    """The kernel's 5 % are tenths of a percent, rounded down: less than 5.1 %."""
    only = BitTimingConstants("", 6, 6, 3, 3, 1, 1, 1, 1)  # 10 quanta of one period
    if reachable:
        assert calc_bit_timing(10_000_000, bitrate, constants=only).bitrate == 1_000_000
    else:
        with pytest.raises(ValueError, match=r"^bit rate .*; the controller .* is 1000000$"):
            calc_bit_timing(10_000_000, bitrate, constants=only)


def test_prescalers_in_steps() -> None:
    # 9 periods a quantum would be exact; a multiple of 4 is 8.
    stepped = BitTimingConstants("", 6, 6, 3, 3, 1, 2, 15, 4)
    found = calc_bit_timing(80_000_000, 985_000, constants=stepped)
    assert (found.timing.brp, found.bitrate) == (8, 1_000_000)
    with pytest.raises(ValueError, match=r"brp 2\.\.15: nearest is 666666$"):  # 12, and not 13
        calc_bit_timing(80_000_000, 600_000, constants=stepped)
    with pytest.raises(ValueError, match=r"nearest is 666666$"):  # the kernel tries 8 alone
        calc_bit_timing(80_000_000, 800_000, constants=stepped)
    with pytest.raises(ValueError, match=r"nearest is 2000000$"):  # 4, and not 2
        calc_bit_timing(80_000_000, 4_000_000, constants=stepped)


@pytest.mark.parametrize(
    ("constants", "clock", "sample_point", "text"),
    [
        # Later than 17 of 18 quanta, though 15 of 16 are not far from it.
        (SJA1000, 8_000_000, 0.95, "0.95 not reachable; sja1000 takes tseg1 1..16, tseg2 1..8"),
        (SJA1000, 8_000_000, 0.946, "0.946 not reachable; .* bit/s is 0.938"),
        # 6 of 8 quanta.
        (MCP251X, 4_000_000, 0.875, "0.875 not reachable; mcp251x .*: nearest at .* is 0.75"),
        (SJA1000, 4_000_000, 0.801, "0.801 not reachable; .* at 500000 bit/s is 0.75"),
        # 7 of 10 quanta; 11 of 14 would be 2 % off the bit rate.
        (UNEVEN, 50_000_000, 0.78, "0.78 not reachable; uneven .* at 500000 bit/s is 0.7$"),
        # 7 of 8 quanta would be too late, and 6 are too early.
        (SJA1000, 4_000_000, 0.85, "0.85 not reachable; .* at 500000 bit/s is 0.875"),
        # tseg1 would be 3, which the kernel takes.
        (LONG, 4_000_000, 0.5, "0.5 not reachable; long .* at 500000 bit/s is 0.75"),
        # tseg2 would be 3.
        (SHORT, 4_000_000, 0.625, "0.625 not reachable; short .* at 500000 bit/s is 0.75"),
        # 2 of 8 quanta is the earliest; the kernel never samples late.
        (SJA1000, 4_000_000, 0.2, "0.2 not reachable; .* at 500000 bit/s is 0.25"),
    ],
)
def test_a_sample_point_out_of_reach(
    constants: BitTimingConstants, clock: int, sample_point: float, text: str
) -> None:
    with pytest.raises(ValueError, match=f"^sample point {text}"):
        calc_bit_timing(clock, 500_000, constants=constants, sample_point=sample_point)


@pytest.mark.parametrize(("sample_point", "met"), [(0.80, 0.75), (0.945, 0.9375)])
def test_the_tolerance_of_a_sample_point(sample_point: float, met: float) -> None:
    clock = 4_000_000 if sample_point == 0.80 else 8_000_000
    found = calc_bit_timing(clock, 500_000, constants=SJA1000, sample_point=sample_point)
    assert found.sample_point == met


def test_the_recommended_sample_point_may_be_far_off_but_never_late() -> None:
    late = BitTimingConstants("", 8, 8, 1, 1, 1, 1, 1, 1)  # 9 of 10 quanta
    with pytest.raises(ValueError, match=r"^sample point 0\.875 not reachable; .* is 0\.9$"):
        calc_bit_timing(5_000_000, 500_000, constants=late)
    early = BitTimingConstants("", 1, 1, 8, 8, 1, 1, 1, 1)  # 2 of 10 quanta
    assert calc_bit_timing(5_000_000, 500_000, constants=early).sample_point == 0.2


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"clock": 0}, "clock is a whole number of Hz, 1 or more, and not 0"),
        ({"clock": 8e6}, "clock is .* not 8000000.0"),
        ({"bitrate": 0}, "bitrate is a whole number of bits a second, 1 or more, and not 0"),
        ({"bitrate": True}, "bitrate is .* not True"),
        ({"bitrate": "500000"}, "bitrate is .* not '500000'"),
        ({"sample_point": 87.5}, "sample_point is a share .* such as 0.875, and not 87.5"),
        ({"sample_point": 875}, "sample_point is a share .* not 875"),
        ({"sample_point": 0}, "sample_point is a share .* not 0"),
        ({"sample_point": 1.0}, "sample_point is a share .* not 1.0"),
        ({"sample_point": math.nan}, "sample_point is a share .* not nan"),
    ],
)
def test_arguments_that_cannot_be(changed: dict[str, Any], text: str) -> None:
    arguments = {"clock": 8_000_000, "bitrate": 500_000} | changed
    with pytest.raises(ValueError, match=f"^{text}$"):
        calc_bit_timing(constants=SJA1000, **arguments)


@pytest.mark.parametrize(
    "changed",
    [
        {"tseg1_min": -1},
        {"tseg1_min": 17},
        {"tseg1_min": 0, "tseg1_max": 0},
        {"tseg2_min": -1},
        {"tseg2_min": 9},
        {"tseg2_min": 0, "tseg2_max": 0},
        {"sjw_max": 0},
        {"brp_min": 0},
        {"brp_min": 65},
        {"brp_inc": 0},
        {"brp_min": 5, "brp_max": 7, "brp_inc": 4},
    ],
)
def test_constants_that_cannot_be(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^no controller has such constants: .*'sja1000'"):
        calc_bit_timing(8_000_000, 500_000, constants=attrs.evolve(SJA1000, **changed))


def test_a_segment_has_a_quantum() -> None:
    """Some drivers tell a least of 0, with which the kernel finds timings of no use."""
    constants = BitTimingConstants("mttcan", 0, 1, 0, 1, 1, 1, 1, 1)
    found = calc_bit_timing(3_000_000, 1_000_000, constants=constants).timing
    assert (found.prop_seg, found.phase_seg1, found.phase_seg2, found.sjw) == (0, 1, 1, 1)
    with pytest.raises(ValueError, match=r"^bit rate 1000000 not reachable; .* is 666666$"):
        calc_bit_timing(2_000_000, 1_000_000, constants=constants)


small = st.integers(min_value=1, max_value=5)


@st.composite
def some_constants(draw: st.DrawFn, brp_inc: st.SearchStrategy[int] = small) -> BitTimingConstants:
    tseg1, tseg2, brp, step = draw(small), draw(small), draw(small), draw(brp_inc)
    return BitTimingConstants(
        "some",
        tseg1,
        tseg1 + draw(st.integers(0, 8)),
        tseg2,
        tseg2 + draw(st.integers(0, 5)),
        draw(small),
        brp,
        brp + step + draw(st.integers(0, 4)),
        step,
    )


def all_timings(constants: BitTimingConstants) -> Iterator[tuple[int, int, int]]:
    """Give all that a controller has: brp, a bit's quanta, and those before the sample point."""
    for brp in range(constants.brp_min, constants.brp_max + 1):
        if brp % constants.brp_inc == 0:
            for tseg1 in range(constants.tseg1_min, constants.tseg1_max + 1):
                for tseg2 in range(constants.tseg2_min, constants.tseg2_max + 1):
                    yield brp, 1 + tseg1 + tseg2, 1 + tseg1


@given(some_constants(), st.data())
def test_what_the_controller_can_do_is_found(
    constants: BitTimingConstants, data: st.DataObject
) -> None:
    timings = list(all_timings(constants))
    brp, quanta, before = data.draw(st.sampled_from(timings))
    bitrate = data.draw(st.integers(10_000, 8_000_000))
    clock = bitrate * brp * quanta
    sample_point = before / quanta
    found = calc_bit_timing(clock, bitrate, constants=constants, sample_point=sample_point)
    timing = found.timing

    assert found.bitrate == timing.bitrate == bitrate
    assert found.bitrate_error == 0
    assert abs(found.sample_point_error) < 0.001
    wanted = round(sample_point * 1000)
    if 1000 * before // quanta == wanted:  # and not rounded up
        assert timing.sample_point == wanted
        # No finer division does the same.
        assert timing.brp == min(
            other
            for other, its_quanta, its_before in timings
            if other * its_quanta == brp * quanta and 1000 * its_before // its_quanta == wanted
        )


@st.composite
def some_requests(
    draw: st.DrawFn, brp_inc: st.SearchStrategy[int] = small
) -> tuple[BitTimingConstants, int, int, int]:
    """Give constants, a clock, a bit rate, and tenths of a percent, that are nearly in reach."""
    constants = draw(some_constants(brp_inc))
    brp, quanta, before = draw(st.sampled_from(list(all_timings(constants))))
    bitrate = draw(st.integers(20_000, 5_000_000))
    clock = brp * quanta * bitrate * draw(st.integers(900, 1100)) // 1000
    tenths = before * 1000 // quanta + draw(st.integers(-200, 60))
    return constants, clock, bitrate, min(max(tenths, 1), 999)


@given(some_requests(), st.booleans())
def test_the_timing_is_one_that_the_controller_has(
    wanted: tuple[BitTimingConstants, int, int, int], recommended: bool
) -> None:
    constants, clock, bitrate, tenths = wanted
    sample_point = None if recommended else tenths / 1000
    try:
        found = calc_bit_timing(clock, bitrate, constants=constants, sample_point=sample_point)
    except ValueError as error:
        assert "not reachable" in str(error)  # noqa: PT017 - either is right, and nothing else is
        return
    timing = found.timing
    tseg1 = timing.prop_seg + timing.phase_seg1
    quanta = 1 + tseg1 + timing.phase_seg2
    assert (timing.brp, quanta, 1 + tseg1) in set(all_timings(constants))
    assert 0 <= timing.phase_seg1 - timing.prop_seg <= 1
    assert 1 <= timing.sjw <= min(constants.sjw_max, timing.phase_seg1, timing.phase_seg2)

    quantum = Fraction(timing.brp, clock)
    assert timing.tq == math.floor(quantum * 1_000_000_000)
    assert found.bitrate == float(1 / (quantum * quanta))
    assert timing.bitrate == math.floor(1 / (quantum * quanta))
    assert found.bitrate_error == pytest.approx(found.bitrate / bitrate - 1)
    assert abs(found.bitrate_error) < 0.052
    assert found.sample_point == (1 + tseg1) / quanta
    assert timing.sample_point == math.floor(1000 * Fraction(1 + tseg1, quanta))
    if sample_point is not None:
        assert found.sample_point_error == pytest.approx(found.sample_point - sample_point)
        assert -0.051 < found.sample_point_error < 0.001


@given(some_requests(brp_inc=st.just(1)))
def test_no_other_timing_is_better(wanted: tuple[BitTimingConstants, int, int, int]) -> None:
    constants, clock, bitrate, tenths = wanted
    # Of each number of quanta, as for the kernel, those next to the bit rate.
    others = [
        (abs(clock // (brp * quanta) - bitrate), tenths - 1000 * before // quanta)
        for brp, quanta, before in all_timings(constants)
        if abs(brp * quanta * bitrate - clock) < quanta * bitrate
        if 1000 * before // quanta <= tenths
    ]
    best = min(others, default=(bitrate, 1000))
    try:
        found = calc_bit_timing(clock, bitrate, constants=constants, sample_point=tenths / 1000)
    except ValueError as error:
        if str(error).startswith("bit rate"):
            assert best[0] * 1000 // bitrate > 50
        else:
            latest = 1000 * (1 + constants.tseg1_max)
            latest //= 1 + constants.tseg1_max + constants.tseg2_min
            assert best[0] * 1000 // bitrate > 50 or best[1] > 50 or tenths > latest
    else:
        timing = found.timing
        assert (abs(timing.bitrate - bitrate), tenths - timing.sample_point) <= best


@given(some_constants(), st.integers(1_000_000, 50_000_000), st.integers(1, 100_000_000))
def test_the_nearest_bit_rate_is_the_nearest(
    constants: BitTimingConstants, clock: int, bitrate: int
) -> None:
    try:
        calc_bit_timing(clock, bitrate, constants=constants)
    except ValueError as error:
        nearest = re.search(r"^bit rate .* nearest is (\d+)$", str(error))
        if nearest is None:
            return
        rates = {clock // (brp * quanta) for brp, quanta, _ in all_timings(constants)}
        assert int(nearest[1]) in rates
        assert abs(int(nearest[1]) - bitrate) == min(abs(rate - bitrate) for rate in rates)
