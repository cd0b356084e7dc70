"""What a controller can be set to: the kernel's rules, without a network."""

from __future__ import annotations

import errno

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.network.core.controller_settings import ControllerSettings, settings_for
from anycan.wire.bit_timing import calc_bit_timing
from anycan.wire.netlink_can import (
    CanMode,
    CanModes,
    CanParameters,
    CanState,
    CanSupportedModes,
)
from anycan.wire.netlink_timing import (
    BitTiming,
    BitTimingConstants,
    PulseWidth,
    TransmitterDelay,
)

SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
FD_ON = CanModes(CanMode.FD, CanMode.FD)
NEW = ControllerSettings()
OLD = ControllerSettings(clock=8_000_000, constants=SJA1000, data_constants=None)


def refused(request: CanParameters, settings: ControllerSettings = NEW, up: bool = False) -> str:
    """Give the name of the error number of a refusal, and its text."""
    with pytest.raises(OSError) as info:  # noqa: PT011 - the number is what is compared
        settings.changed(request, up=up)
    number = info.value.errno
    name = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number or 0]
    return f"{name}: {info.value.strerror}"


def test_a_bit_rate_is_calculated_as_the_kernel_does() -> None:
    found = OLD.changed(CanParameters(bit_timing=BitTiming(bitrate=500_000)), up=False)
    assert found == attrs.evolve(
        OLD, bit_timing=BitTiming(500_000, 875, 125, 6, 7, 2, sjw=1, brp=1)
    )


def test_a_sample_point_and_a_jump_width_are_taken() -> None:
    request = BitTiming(bitrate=250_000, sample_point=750, sjw=3)
    found = OLD.changed(CanParameters(bit_timing=request), up=False).bit_timing
    assert found is not None
    assert (found.bitrate, found.sample_point, found.sjw) == (250_000, 750, 3)


def test_what_is_not_told_stays() -> None:
    before = ControllerSettings(
        bit_timing=BitTiming(bitrate=1), modes=CanMode.LISTENONLY, restart_ms=7, termination=120
    )
    assert before.changed(CanParameters(), up=True) == before
    assert before.changed(CanParameters(state=3, clock=1, bitrate_max=5), up=True) == before


def test_a_bit_rate_out_of_reach_is_explained() -> None:
    request = CanParameters(bit_timing=BitTiming(bitrate=3_000_000))
    assert refused(request, OLD).startswith("EINVAL: bit rate 3000000 not reachable; sja1000")


@pytest.mark.parametrize("timing", [BitTiming(), BitTiming(bitrate=500_000, tq=125)])
def test_a_bit_timing_is_set_in_one_way(timing: BitTiming) -> None:
    assert refused(CanParameters(bit_timing=timing)).startswith("EINVAL: ")


@pytest.mark.parametrize(("point", "data_point"), [(1000, 0), (0, 1000)])
def test_a_sample_point_beyond_the_bit(point: int, data_point: int) -> None:
    request = CanParameters(
        bit_timing=BitTiming(bitrate=500_000, sample_point=point),
        data_bit_timing=BitTiming(bitrate=2_000_000, sample_point=data_point),
        modes=FD_ON,
    )
    assert refused(request).startswith("EINVAL: a sample point is below 100 %")


def test_segments_make_a_bit_timing() -> None:
    request = BitTiming(tq=125, prop_seg=6, phase_seg1=7, phase_seg2=2)
    found = OLD.changed(CanParameters(bit_timing=request), up=False)
    assert found.bit_timing == BitTiming(500_000, 875, 125, 6, 7, 2, sjw=1, brp=1)
    request = BitTiming(tq=300, prop_seg=5, phase_seg1=8, phase_seg2=6, sjw=4)
    found = OLD.changed(CanParameters(bit_timing=request), up=False)
    assert found.bit_timing == BitTiming(200_000, 700, 250, 5, 8, 6, sjw=4, brp=2)


def test_a_divisor_of_the_clock_goes_by_its_steps() -> None:
    even = ControllerSettings(
        clock=8_000_000, constants=attrs.evolve(SJA1000, brp_min=2, brp_inc=2)
    )
    request = BitTiming(tq=700, prop_seg=6, phase_seg1=7, phase_seg2=2)
    found = even.changed(CanParameters(bit_timing=request), up=False).bit_timing
    assert found is not None
    assert (found.brp, found.tq) == (6, 750)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"prop_seg": 0, "phase_seg1": 0}, "together can be 1 to 16, and not 0"),
        ({"prop_seg": 9, "phase_seg1": 8}, "together can be 1 to 16, and not 17"),
        ({"phase_seg2": 0}, "phase_seg2 can be 1 to 8, and not 0"),
        ({"phase_seg2": 9}, "phase_seg2 can be 1 to 8, and not 9"),
        ({"phase_seg2": 8, "sjw": 5}, "sjw can be 1 to 4, and not 5"),
        ({"sjw": 4}, "sjw can be 1 to 2, and not 4"),
        ({"phase_seg2": 8, "phase_seg1": 3, "sjw": 4}, "sjw can be 1 to 3, and not 4"),
        ({"tq": 10}, "divisor can be 1 to 64, and not 0"),
        ({"tq": 8125}, "divisor can be 1 to 64, and not 65"),
    ],
)
def test_segments_out_of_range(changes: dict[str, int], text: str) -> None:
    request = BitTiming(tq=125, prop_seg=6, phase_seg1=7, phase_seg2=2)
    told = refused(CanParameters(bit_timing=attrs.evolve(request, **changes)), OLD)
    assert told.startswith("EINVAL: ")
    assert text in told


@given(st.integers(5_000, 1_000_000))
def test_what_was_calculated_can_be_set_by_its_segments(bitrate: int) -> None:
    try:
        found = calc_bit_timing(8_000_000, bitrate, constants=SJA1000).timing
    except ValueError:
        return
    request = attrs.evolve(found, bitrate=0, sample_point=0, brp=0)
    assert OLD.changed(CanParameters(bit_timing=request), up=False).bit_timing == found


def test_can_fd_is_turned_on_and_off() -> None:
    request = CanParameters(
        bit_timing=BitTiming(bitrate=500_000),
        data_bit_timing=BitTiming(bitrate=2_000_000),
        modes=FD_ON,
    )
    found = NEW.changed(request, up=False)
    assert (found.flexible, found.modes) == (True, CanMode.FD)
    assert found.data_bit_timing is not None
    assert found.data_bit_timing.bitrate == 2_000_000
    listening = CanModes(CanMode.LISTENONLY, CanMode.LISTENONLY)
    found = found.changed(CanParameters(modes=listening), up=False)
    assert found.modes == CanMode.FD | CanMode.LISTENONLY
    assert found.data_bit_timing is not None
    found = found.changed(CanParameters(modes=CanModes(CanMode.FD, 0)), up=False)
    assert (found.modes, found.data_bit_timing) == (CanMode.LISTENONLY, None)
    assert found.bit_timing is not None


@pytest.mark.parametrize(
    "request_",
    [
        CanParameters(modes=FD_ON),
        CanParameters(modes=FD_ON, bit_timing=BitTiming(bitrate=500_000)),
        CanParameters(modes=FD_ON, data_bit_timing=BitTiming(bitrate=500_000)),
        CanParameters(
            bit_timing=BitTiming(bitrate=500_000), data_bit_timing=BitTiming(bitrate=500_000)
        ),
        CanParameters(
            modes=CanModes(CanMode.LOOPBACK, CanMode.FD),  # FD is not in the mask
            bit_timing=BitTiming(bitrate=500_000),
            data_bit_timing=BitTiming(bitrate=500_000),
        ),
        CanParameters(modes=CanModes(CanMode.XL, CanMode.XL)),
        CanParameters(modes=CanModes(0x10000, 0x10000)),
        CanParameters(delay=TransmitterDelay(offset=4)),
        CanParameters(xl_bit_timing=BitTiming(bitrate=500_000)),
        CanParameters(xl_delay=TransmitterDelay(offset=4)),
        CanParameters(pulse_width=PulseWidth(short=4)),
    ],
)
def test_what_does_not_go_together_or_is_not_there(request_: CanParameters) -> None:
    assert refused(request_).startswith("EOPNOTSUPP: ")


def test_a_controller_of_classical_can_alone() -> None:
    request = CanParameters(
        modes=FD_ON,
        bit_timing=BitTiming(bitrate=500_000),
        data_bit_timing=BitTiming(bitrate=500_000),
    )
    assert refused(request, OLD) == "EOPNOTSUPP: it has no mode FD"
    assert not OLD.supported_modes & (CanMode.FD | CanMode.FD_NON_ISO)


def test_a_mode_that_it_does_not_have_can_be_off() -> None:
    assert NEW.changed(CanParameters(modes=CanModes(CanMode.XL, 0)), up=False) == NEW


@pytest.mark.parametrize(
    "request_",
    [
        CanParameters(bit_timing=BitTiming(bitrate=500_000)),
        CanParameters(modes=CanModes(CanMode.LISTENONLY, 0)),
        CanParameters(restart_ms=0),
    ],
)
def test_while_it_is_up_it_stays_as_it_is(request_: CanParameters) -> None:
    assert refused(request_, up=True).startswith("EBUSY: ")


def test_the_termination_changes_also_while_it_is_up() -> None:
    assert NEW.changed(CanParameters(termination=120), up=True).termination == 120
    assert refused(CanParameters(termination=60)) == (
        "EINVAL: its termination is one of (0, 120) ohms, not 60"
    )


def test_it_begins_with_a_bit_rate_alone() -> None:
    with pytest.raises(OSError, match="no bit rate yet"):
        NEW.check_start()
    rated = settings_for(NEW, bitrate=500_000, data_bitrate=None, restart=0)
    rated.check_start()
    with pytest.raises(OSError, match="no data bit rate yet"):
        rated.with_flexible(on=True).check_start()
    with pytest.raises(OSError, match="below its bit rate"):
        settings_for(NEW, bitrate=500_000, data_bitrate=250_000, restart=0).check_start()
    settings_for(NEW, bitrate=500_000, data_bitrate=500_000, restart=0).check_start()


def test_the_mtu_turns_can_fd_on_and_off_and_leaves_the_rest() -> None:
    rated = settings_for(NEW, bitrate=500_000, data_bitrate=2_000_000, restart=0)
    off = rated.with_flexible(on=False)
    assert not off.flexible
    assert off.with_flexible(on=True) == rated


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0, 0), (0.1, 100), (0.001, 1), (60, 60_000)]
)
def test_a_time_to_restart(seconds: float, milliseconds: int) -> None:
    found = settings_for(NEW, bitrate=None, data_bitrate=None, restart=seconds)
    assert found.restart_ms == milliseconds


@pytest.mark.parametrize("seconds", [-1, 0.0001, 4_294_968, float("nan"), float("inf")])
def test_a_time_to_restart_that_cannot_be(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"restart= is a time in seconds, from 0.001 to 4294967"):
        settings_for(NEW, bitrate=None, data_bitrate=None, restart=seconds)


def test_what_netlink_tells() -> None:
    told = OLD.parameters(CanState.STOPPED)
    assert told == CanParameters(
        bit_timing_limits=SJA1000,
        clock=8_000_000,
        state=CanState.STOPPED,
        modes=CanModes(0, 0),
        restart_ms=0,
        termination=0,
        terminations=(0, 120),
        bitrate_max=0,
        supported_modes=CanSupportedModes(int(OLD.supported_modes)),
    )
