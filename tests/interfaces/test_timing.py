"""The bit timing that an interface is to have."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import ConfigurationError, Interface
from anycan.interfaces.timing import WantedTiming, wanted_timing
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants

SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
HALF_A_MEGABIT = BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1)


def controller(**fields: Any) -> Interface:
    given: dict[str, Any] = {"clock": 8_000_000, "bit_timing_constants": SJA1000}
    return Interface(index=1, name="can0", kind="can", **given | fields)


def wanted(
    interface: Interface,
    timing: BitTiming | None = None,
    bitrate: int | None = None,
    sample_point: float | None = None,
    sjw: int | None = None,
    phase: Literal["", "data_"] = "",
) -> BitTiming | None:
    return wanted_timing(interface, WantedTiming(timing, bitrate, sample_point, sjw, phase))


def refusal(interface: Interface, **asked: Any) -> str:
    with pytest.raises(ConfigurationError) as told:
        wanted(interface, **asked)
    return str(told.value)


def test_nothing_is_wanted() -> None:
    assert wanted(controller()) is None
    assert wanted(controller(bit_timing=HALF_A_MEGABIT)) is None


def test_a_bit_rate() -> None:
    assert wanted(controller(), bitrate=500_000) == HALF_A_MEGABIT
    assert wanted(controller(), BitTiming(bitrate=500_000)) == HALF_A_MEGABIT
    assert wanted(controller(), HALF_A_MEGABIT) == HALF_A_MEGABIT


def test_a_sample_point_and_a_jump_width_go_with_the_bit_rate_there_is() -> None:
    there = controller(bit_timing=HALF_A_MEGABIT)
    found = wanted(there, sample_point=0.75)
    assert found == wanted(there, BitTiming(bitrate=500_000, sample_point=750))
    assert found is not None
    assert (found.bitrate, found.sample_point) == (500_000, 750)
    found = wanted(there, sjw=2)
    assert found is not None
    assert (found.bitrate, found.sample_point, found.sjw) == (500_000, 875, 2)


def test_without_a_bit_rate() -> None:
    assert refusal(controller(), sjw=2) == "can0 has no bit rate yet: give bitrate= as well"
    assert refusal(controller(), sample_point=0.8, phase="data_") == (
        "can0 has no data bit rate yet: give data_bitrate= as well"
    )


@pytest.mark.parametrize("asked", [{"bitrate": 1}, {"sample_point": 0.5}, {"sjw": 1}])
@pytest.mark.parametrize("phase", ["", "data_"])
def test_all_of_a_timing_goes_alone(asked: dict[str, Any], phase: str) -> None:
    assert refusal(controller(), timing=HALF_A_MEGABIT, phase=phase, **asked) == (
        f"can0: {phase}bit_timing= says all, and goes without {phase}bitrate=,"
        f" {phase}sample_point= and {phase}sjw="
    )


def test_segments_are_for_the_kernel_to_look_at() -> None:
    timing = BitTiming(tq=125, prop_seg=6, phase_seg1=7, phase_seg2=2)
    assert wanted(controller(), timing) is timing


@pytest.mark.parametrize("bitrate", [0, -1])
def test_no_bit_rate_at_all(bitrate: int) -> None:
    text = f"can0: bitrate is a whole number of bits a second, 1 or more, and not {bitrate}"
    assert refusal(controller(), bitrate=bitrate) == text


def test_the_transceivers_limit() -> None:
    there = controller(bitrate_max=250_000)
    assert wanted(there, bitrate=250_000) is not None
    text = "can0: 500000 bit/s is more than its transceiver takes, 250000"
    assert refusal(there, bitrate=500_000) == text


def test_a_controller_with_a_few_bit_rates() -> None:
    there = controller(bit_timing_constants=None, clock=None, bitrates=(125_000, 500_000))
    assert wanted(there, bitrate=125_000) == BitTiming(bitrate=125_000)
    text = "can0: its controller has no bit rate of 250000, but 125000, 500000"
    assert refusal(there, bitrate=250_000) == text
    there = controller(data_bitrates=(2_000_000,))
    assert wanted(there, bitrate=2_000_000, phase="data_") == BitTiming(bitrate=2_000_000)
    text = "can0: its controller has no data bit rate of 1, but 2000000"
    assert refusal(there, bitrate=1, phase="data_") == text


def test_a_driver_that_tells_no_limits_is_asked() -> None:
    there = controller(bit_timing_constants=None, clock=None)
    assert wanted(there, bitrate=500_000) == BitTiming(bitrate=500_000)
    assert wanted(there, bitrate=500_000, sample_point=0.8, sjw=2) == BitTiming(
        bitrate=500_000, sample_point=800, sjw=2
    )
    text = "can0: its controller has no CAN FD, and no data bit rate"
    assert refusal(there, bitrate=2_000_000, phase="data_") == text


@given(
    st.integers(1, 2_000_000),
    st.none() | st.floats(0.001, 0.999),
    st.none() | st.integers(1, 8),
)
def test_a_timing_or_an_error_that_names_the_interface(
    bitrate: int, sample_point: float | None, sjw: int | None
) -> None:
    text = ""
    found = None
    try:
        found = wanted(controller(), None, bitrate, sample_point, sjw)
    except ConfigurationError as error:
        text = str(error)
    if found is None:
        assert text.startswith("can0: ")
        assert "sja1000" in text
        return
    quanta = 1 + found.prop_seg + found.phase_seg1 + found.phase_seg2
    assert found.bitrate == 8_000_000 // (found.brp * quanta)
    assert abs(found.bitrate - bitrate) <= 0.051 * bitrate
    assert wanted(controller(), found) == found  # so that it is known again when it is there
