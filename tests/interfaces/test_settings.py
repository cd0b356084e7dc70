"""What an interface is to be set to: what is asked of the kernel, and what is refused before."""

from __future__ import annotations

import math
import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import CanMode, ConfigurationError, Interface
from anycan.interfaces.from_link import controller_fields
from anycan.interfaces.settings import Plan, Settings, plan
from anycan.network.core.controller_settings import (
    DEFAULT_CONSTANTS,
    DEFAULT_DATA_CONSTANTS,
    ControllerSettings,
)
from anycan.wire.netlink_can import CanModes, CanParameters, CanState
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants, TransmitterDelay

SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
FD = CanMode.FD
CLASSICAL = ControllerSettings(clock=8_000_000, constants=SJA1000, data_constants=None)
FLEXIBLE = ControllerSettings()
VCAN = Interface(index=2, name="vcan0", kind="vcan", mtu=72, queue_length=1000, up=True)


def controller(settings: ControllerSettings = CLASSICAL, **fields: Any) -> Interface:
    """Give a controller that is set to something, as the kernel tells of it."""
    told = controller_fields(settings.parameters(CanState.STOPPED))
    mtu = 72 if settings.flexible else 16
    given: dict[str, Any] = {"index": 1, "name": "can0", "kind": "can", "mtu": mtu}
    return Interface(**given | {"queue_length": 10} | told | fields)


def changed(settings: ControllerSettings, **parameters: Any) -> ControllerSettings:
    return settings.changed(CanParameters(**parameters), up=False)


AT_500K = changed(CLASSICAL, bit_timing=BitTiming(bitrate=500_000))
WITH_FD = changed(
    FLEXIBLE,
    bit_timing=BitTiming(bitrate=500_000),
    data_bit_timing=BitTiming(bitrate=2_000_000),
    modes=CanModes(FD, FD),
)


def planned(interface: Interface, **asked: Any) -> Plan:
    return plan(Settings(**asked), interface)


def asked_of(interface: Interface, **asked: Any) -> CanParameters:
    parameters = planned(interface, **asked).parameters
    assert parameters is not None
    return parameters


def refusal(interface: Interface, **asked: Any) -> str:
    with pytest.raises(ConfigurationError) as told:
        planned(interface, **asked)
    return str(told.value)


# Nothing to do


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("interface", [controller(), controller(WITH_FD), VCAN])
def test_nothing_asked_for_changes_nothing(interface: Interface, up: bool) -> None:
    there = attrs.evolve(interface, up=up)
    assert planned(there) == Plan(up=up)
    assert not planned(there).changes


@pytest.mark.parametrize(
    "asked",
    [
        {"bitrate": 500_000},
        {"bitrate": 500_000, "sample_point": 0.875},
        {"sample_point": 0.875},
        {"sjw": 1},
        {"bit_timing": BitTiming(bitrate=500_000)},
        {"bit_timing": AT_500K.bit_timing},
        {"bit_timing": BitTiming(tq=125, prop_seg=6, phase_seg1=7, phase_seg2=2, sjw=1)},
        {"modes": CanMode(0)},
        {"modes": {CanMode.LISTENONLY: False}},
        {"restart": 0},
        {"termination": 0},
        {"mtu": 16},
        {"queue_length": 10},
        {"up": True},
    ],
    ids=str,
)
def test_what_is_so_already_is_left_alone(asked: dict[str, Any]) -> None:
    assert planned(controller(AT_500K, up=True), **asked) == Plan(up=True)


# Up and down


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_up_and_down(before: bool, asked: bool | None, after: bool) -> None:
    there = attrs.evolve(VCAN, up=before)
    assert planned(there, up=asked) == Plan(up=after)


@pytest.mark.parametrize(
    ("asked", "down_first"),
    [
        ({"bitrate": 250_000}, True),
        ({"modes": CanMode.LISTENONLY}, True),
        ({"restart": 0.1}, True),
        ({"termination": 120}, False),
        ({"queue_length": 100}, False),
    ],
)
def test_only_what_has_to_takes_it_down(asked: dict[str, Any], down_first: bool) -> None:
    found = planned(controller(AT_500K, up=True), **asked)
    assert found.changes
    assert (found.down_first, found.up) == (down_first, True)
    assert not planned(controller(AT_500K), **asked).down_first


# Bit timing


def test_a_bit_rate_is_worked_out_and_asked_for_as_the_kernel_takes_it() -> None:
    expected = CanParameters(bit_timing=BitTiming(bitrate=250_000, sample_point=875, sjw=1))
    assert asked_of(controller(AT_500K), bitrate=250_000) == expected


def test_a_sample_point_alone_keeps_the_bit_rate() -> None:
    timing = asked_of(controller(AT_500K), sample_point=0.75).bit_timing
    assert timing == BitTiming(bitrate=500_000, sample_point=750, sjw=2)


def test_limits_are_in_the_error() -> None:
    text = refusal(controller(), bitrate=500_000, sample_point=0.95)
    assert re.search(r"can0: .*0\.95.*sja1000.*tseg1 1\.\.16.*tseg2 1\.\.8", text)
    text = refusal(controller(), bitrate=3_000_000)
    assert re.search(r"can0: bit rate 3000000 not reachable; .*nearest is 2666666", text)
    assert "sjw 9 out of range" in refusal(controller(), bitrate=500_000, sjw=9)


def test_times_in_nanoseconds_go_to_the_kernel_as_they_are() -> None:
    timing = BitTiming(tq=250, prop_seg=6, phase_seg1=7, phase_seg2=2, sjw=1)
    assert asked_of(controller(AT_500K), bit_timing=timing).bit_timing == timing


def test_only_a_controller_has_controller_settings() -> None:
    text = "vcan0 is a vcan, and has no controller to set: bitrate= is for one"
    assert refusal(VCAN, bitrate=500_000) == text
    text = refusal(attrs.evolve(VCAN, name="slcan0", kind=None), restart=1.0)
    assert text == "slcan0 is no controller, and has no controller to set: restart= is for one"


# Modes


def test_modes_are_all_that_are_on_or_a_mapping_of_some() -> None:
    there = controller(changed(AT_500K, modes=CanModes(0x18, CanMode.ONE_SHOT)))
    silent = CanMode.LISTENONLY
    assert asked_of(there, modes=silent).modes == CanModes(silent | CanMode.ONE_SHOT, silent)
    assert asked_of(there, modes={silent: True}).modes == CanModes(silent, silent)
    off = {silent: False, CanMode.ONE_SHOT: False}
    assert asked_of(there, modes=off).modes == CanModes(CanMode.ONE_SHOT, 0)


def test_a_mode_that_the_controller_has_not() -> None:
    text = refusal(controller(), modes=CanMode.TRIPLE_SAMPLING | CanMode.LOOPBACK)
    assert text.startswith("can0: its controller has no mode TRIPLE_SAMPLING; it has LOOPBACK, ")
    mode_less = controller(supported_modes=CanMode(0))
    assert refusal(mode_less, modes=CanMode.LOOPBACK).endswith("; it has none")


def test_modes_that_an_old_kernel_does_not_tell_are_left_to_it() -> None:
    there = controller(supported_modes=None)
    mode = CanMode.TRIPLE_SAMPLING
    assert asked_of(there, modes=mode) == CanParameters(modes=CanModes(mode, mode))


# CAN FD


def test_a_data_bit_rate_turns_can_fd_on_with_both_bit_timings() -> None:
    there = controller(changed(FLEXIBLE, bit_timing=BitTiming(bitrate=500_000)))
    parameters = asked_of(there, data_bitrate=2_000_000)
    assert parameters.modes == CanModes(FD, FD)
    assert parameters.bit_timing is not None
    assert parameters.bit_timing.bitrate == 500_000
    assert parameters.data_bit_timing is not None
    assert parameters.data_bit_timing.bitrate == 2_000_000


def test_another_data_bit_rate_is_asked_for_with_can_fd_as_the_kernel_wants_it() -> None:
    parameters = asked_of(controller(WITH_FD), data_bitrate=4_000_000)
    assert parameters.modes == CanModes(FD, FD)
    assert parameters.bit_timing is not None
    changed(WITH_FD, **attrs.asdict(parameters, recurse=False))  # and it takes it


def test_can_fd_has_both_bit_rates() -> None:
    assert refusal(controller(FLEXIBLE), data_bitrate=2_000_000) == (
        "can0: CAN FD has two bit rates: give bitrate= as well"
    )
    assert refusal(controller(FLEXIBLE), bitrate=500_000, modes=FD) == (
        "can0: CAN FD has a data bit rate: give data_bitrate="
    )
    assert refusal(controller(WITH_FD), bitrate=1_000_000, data_bitrate=500_000) == (
        "can0: the data bit rate, 500000, is below the bit rate, 1000000"
    )
    assert refusal(controller(WITH_FD), data_bitrate=2_000_000, modes={FD: False}) == (
        "can0: a data bit rate is CAN FD's, which modes= turns off"
    )
    assert refusal(controller(AT_500K), data_bitrate=2_000_000) == (
        "can0: its controller has no CAN FD, and no data bit rate"
    )


def test_turning_can_fd_off() -> None:
    for modes in (CanMode(0), {FD: False}):
        assert asked_of(controller(WITH_FD), modes=modes) == CanParameters(modes=CanModes(FD, 0))


# Transmitter delay compensation

AUTO, MANUAL = CanMode.TDC_AUTO, CanMode.TDC_MANUAL


def compensated(mode: CanMode = AUTO, **fields: Any) -> Interface:
    there = controller(WITH_FD)
    supported = (there.supported_modes or FD) | AUTO | MANUAL
    return attrs.evolve(there, modes=FD | mode, supported_modes=supported, **fields)


def test_what_the_kernel_compensates_is_not_taken_back() -> None:
    there = compensated(delay=TransmitterDelay(offset=20), up=True)
    for modes in (None, FD, {FD: True}, FD | AUTO):
        asked = {"bitrate": 500_000, "data_bitrate": 2_000_000, "modes": modes}
        assert planned(there, **asked) == Plan(up=True)
    assert asked_of(there, modes={AUTO: False}).modes == CanModes(AUTO, 0)
    assert asked_of(there, modes=CanMode(0)).modes == CanModes(FD | AUTO, 0)


@pytest.mark.parametrize(
    ("delay", "mode"),
    [
        (TransmitterDelay(offset=10), AUTO),
        (TransmitterDelay(offset=10, filter=3), AUTO),
        (TransmitterDelay(value=5, offset=10), MANUAL),
    ],
)
def test_a_delay_is_asked_for_with_its_mode_and_all_of_can_fd(
    delay: TransmitterDelay, mode: CanMode
) -> None:
    there = compensated(CanMode(0))
    parameters = asked_of(there, delay=delay)
    assert parameters.delay == delay
    assert parameters.modes == CanModes(FD | mode, FD | mode)
    assert parameters.bit_timing is not None
    assert parameters.data_bit_timing is not None
    told = TransmitterDelay(0, 127, 0, 127, 0, 31, 5, 10, 3)
    assert planned(compensated(mode, delay=told), delay=delay) == Plan()
    again = asked_of(compensated(mode, delay=told), delay=delay, data_bitrate=4_000_000)
    assert again.delay == delay  # the kernel would choose another one
    assert again.modes == CanModes(FD | mode, FD | mode)


def test_another_way_of_compensation() -> None:
    there = compensated(AUTO, delay=TransmitterDelay(offset=20))
    parameters = asked_of(there, delay=TransmitterDelay(value=1, offset=20))
    assert parameters.modes == CanModes(FD | AUTO | MANUAL, FD | MANUAL)
    assert asked_of(there, delay=TransmitterDelay(offset=21)).modes == CanModes(
        FD | AUTO, FD | AUTO
    )


def test_delays_that_make_no_sense() -> None:
    off = attrs.evolve(compensated(), modes=CanMode(0))
    text = "can0: delay= is CAN FD's, which is off (data_bitrate=)"
    assert refusal(off, delay=TransmitterDelay(offset=1)) == text
    text = "can0: delay= needs its offset, whatever else it has"
    assert refusal(compensated(), delay=TransmitterDelay(value=1)) == text
    text = refusal(compensated(CanMode(0)), modes=FD | MANUAL)
    assert text.startswith("can0: TDC_MANUAL goes with delay=, by which it is chosen")
    text = refusal(controller(WITH_FD), delay=TransmitterDelay(offset=1))
    assert text.startswith("can0: its controller has no mode TDC_AUTO; it has LOOPBACK")


# Restart, termination, MTU, queue


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(0.1, 100), (1, 1000), (0.0001, 1), (0.0011, 2), (4_294_967.295, 0xFFFFFFFF)],
)
def test_a_time_to_restart_becomes_milliseconds_and_never_none(
    seconds: float, milliseconds: int
) -> None:
    there = controller(AT_500K)
    assert asked_of(there, restart=seconds) == CanParameters(restart_ms=milliseconds)
    there = attrs.evolve(there, restart=milliseconds / 1000)
    assert planned(there, restart=seconds) == Plan()
    assert asked_of(there, restart=0) == CanParameters(restart_ms=0)


@pytest.mark.parametrize("seconds", [-1, -0.001, math.inf, math.nan, 4_294_967.3])
def test_a_time_to_restart_that_is_none(seconds: float) -> None:
    text = "can0: restart= is a number of seconds, 0 for never, not "
    assert refusal(controller(), restart=seconds).startswith(text)


def test_termination() -> None:
    assert asked_of(controller(), termination=120) == CanParameters(termination=120)
    text = refusal(controller(), termination=60)
    assert text == "can0: its termination is one of 0, 120 ohms, not 60"
    text = refusal(controller(termination=None, terminations=None), termination=120)
    assert text == "can0 has no termination that can be switched"


@pytest.mark.parametrize("mtu", [16, 76, 2060])
def test_the_mtu_of_a_virtual_interface(mtu: int) -> None:
    assert planned(VCAN, mtu=mtu) == Plan(mtu=mtu, down_first=True, up=True)
    assert planned(attrs.evolve(VCAN, up=False), mtu=mtu) == Plan(mtu=mtu)


@pytest.mark.parametrize("mtu", [0, -1, 15, 17, 71, 73, 75, 2061])
def test_an_mtu_that_no_interface_has(mtu: int) -> None:
    assert refusal(VCAN, mtu=mtu) == (
        f"vcan0 cannot have an MTU of {mtu}: 16 (classical CAN), 72 (CAN FD) or 76 to 2060 (CAN XL)"
    )


def test_the_mtu_of_a_controller_goes_with_can_fd() -> None:
    text = refusal(controller(FLEXIBLE), mtu=72)
    assert text.startswith("can0 is a controller: its MTU goes with CanMode.FD")
    assert text.endswith("and is 16 then")
    assert refusal(controller(WITH_FD), mtu=16).endswith("and is 72 then")
    turned_on = planned(controller(FLEXIBLE), bitrate=500_000, data_bitrate=2_000_000, mtu=72)
    assert turned_on.mtu is None  # it goes with the mode
    assert refusal(controller(FLEXIBLE), bitrate=500_000, data_bitrate=2_000_000, mtu=16).endswith(
        "is 72 then"
    )
    assert planned(controller(WITH_FD, mtu=16), mtu=72) == Plan(mtu=72)  # by another's mistake


def test_the_length_of_a_queue() -> None:
    assert planned(VCAN, queue_length=0) == Plan(queue_length=0, up=True)
    for length in (-1, 1 << 32):
        text = f"vcan0: a queue's length is a number of frames, 0 to 4294967295, not {length}"
        assert refusal(VCAN, queue_length=length) == text


# A plan carried out: by the rules of the kernel, as the user network has them

few_modes = st.sampled_from(
    [CanMode.LOOPBACK, CanMode.LISTENONLY, CanMode.ONE_SHOT, CanMode.CC_LEN8_DLC, FD]
)
none = st.none()
rates = none | st.sampled_from([20_000, 83_333, 125_000, 500_000, 800_000, 1_000_000])
data_rates = none | st.sampled_from([500_000, 2_000_000, 3_333_333, 5_000_000])
points = none | st.sampled_from([0.5, 0.7, 0.75, 0.8, 0.875, 0.9])
wishes = st.builds(
    Settings,
    bitrate=rates,
    sample_point=points,
    sjw=none | st.integers(1, 4),
    data_bitrate=data_rates,
    data_sample_point=points,
    data_sjw=none | st.integers(1, 4),
    modes=none
    | st.lists(few_modes, max_size=3).map(lambda modes: CanMode(sum(set(modes))))
    | st.dictionaries(few_modes, st.booleans(), max_size=3),
    restart=none | st.floats(0, 100),
    termination=none | st.sampled_from([0, 120]),
    queue_length=none | st.integers(0, 1000),
    up=none | st.booleans(),
)
controllers = st.sampled_from(
    [
        CLASSICAL,
        FLEXIBLE,
        ControllerSettings(clock=40_000_000),
        ControllerSettings(
            clock=24_000_000, constants=DEFAULT_CONSTANTS, data_constants=DEFAULT_DATA_CONSTANTS
        ),
    ]
)


def carried_out(
    intended: Plan, before: ControllerSettings, interface: Interface
) -> tuple[ControllerSettings, Interface]:
    """Give what a controller is when a plan has been carried out, by the kernel's rules."""
    rested = interface.up and not intended.down_first
    after = before.changed(intended.parameters or CanParameters(), up=rested)
    length = interface.queue_length if intended.queue_length is None else intended.queue_length
    return after, controller(after, up=intended.up, queue_length=length)


@given(controllers, st.lists(wishes, min_size=1, max_size=2))
def test_a_plan_carried_out_leaves_nothing_to_do(
    settings: ControllerSettings, asked: list[Settings]
) -> None:
    interface = controller(settings)
    for one in asked:
        text, intended = "", None
        try:
            intended = plan(one, interface)
        except ConfigurationError as error:
            text = str(error)
        if intended is None:
            assert text.startswith("can0")
            continue
        # The kernel takes what has been planned, each time.
        settings, interface = carried_out(intended, settings, interface)
        assert plan(one, interface) == Plan(up=interface.up)
        for name in ("bitrate", "data_bitrate"):
            if (wanted := getattr(one, name)) is not None:
                assert abs(getattr(interface, name) - wanted) <= 0.05 * wanted
        if isinstance(one.modes, CanMode):
            with_data = one.data_bitrate or one.data_sample_point or one.data_sjw
            assert interface.modes == one.modes | (FD if with_data else CanMode(0))
        if one.restart is not None:
            assert interface.restart is not None
            assert one.restart <= interface.restart + 1e-9 <= one.restart + 0.001 + 1e-9


def test_a_mode_of_a_newer_kernel_stays_as_it_is() -> None:
    now = controller(modes=CanMode(0x40_0000 | CanMode.LISTENONLY), supported_modes=None)
    parameters = plan(Settings(modes={CanMode.LISTENONLY: False}), now).parameters
    assert parameters is not None
    assert parameters.modes == CanModes(CanMode.LISTENONLY, 0)
