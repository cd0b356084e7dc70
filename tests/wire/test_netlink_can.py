"""The attributes of a CAN controller, byte by byte."""

from __future__ import annotations

import sys

import attrs
import pytest

from anycan.wire.netlink_attributes import MalformedMessageError, pack_attribute
from anycan.wire.netlink_can import (
    CAN_PARAMETERS,
    CAN_STATISTICS,
    CanErrorCounters,
    CanMode,
    CanModes,
    CanParameters,
    CanState,
    CanStatistics,
    CanSupportedModes,
)
from anycan.wire.netlink_timing import (
    BIT_TIMING_LIMITS,
    BitTiming,
    BitTimingConstants,
    PulseWidth,
    TransmitterDelay,
)

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

TIMING = BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1)
TIMING_BYTES = (
    "20a10700 6b030000 7d000000 06000000  07000000 02000000 01000000 01000000"  # 32 bytes
)
LIMITS = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
LIMITS_BYTES = (
    "736a6131303030 000000000000000000"  # 16 bytes
    "01000000 10000000 01000000 08000000  04000000 01000000 40000000 01000000"
)


@pytest.mark.parametrize(
    ("parameters", "data"),
    [
        (CanParameters(bit_timing=TIMING), "2400 0100" + TIMING_BYTES),
        (CanParameters(bit_timing_limits=LIMITS), "3400 0200" + LIMITS_BYTES),
        (CanParameters(clock=8_000_000), "0800 0300 00127a00"),
        (CanParameters(state=CanState.BUS_OFF), "0800 0400 03000000"),
        (
            CanParameters(modes=CanModes(CanMode.LISTENONLY | CanMode.FD, CanMode.FD)),
            "0c00 0500 22000000 20000000",
        ),
        (CanParameters(restart_ms=100), "0800 0600 64000000"),
        (CanParameters(restart=1), "0800 0700 01000000"),
        (CanParameters(error_counters=CanErrorCounters(136, 3)), "0800 0800 8800 0300"),
        (CanParameters(data_bit_timing=TIMING), "2400 0900" + TIMING_BYTES),
        (CanParameters(data_bit_timing_limits=LIMITS), "3400 0a00" + LIMITS_BYTES),
        (CanParameters(termination=120), "0600 0b00 7800 0000"),
        (CanParameters(terminations=(0, 120)), "0800 0c00 0000 7800"),
        (CanParameters(bitrates=(125_000, 500_000)), "0c00 0d00 48e80100 20a10700"),
        (CanParameters(data_bitrates=(2_000_000,)), "0800 0e00 80841e00"),
        (CanParameters(bitrate_max=8_000_000), "0800 0f00 00127a00"),
        (
            CanParameters(delay=TransmitterDelay(value=9, offset=8, filter=7)),
            "1c00 1080 0800 0700 09000000 0800 0800 08000000 0800 0900 07000000",
        ),
        (
            CanParameters(delay=TransmitterDelay(value_max=127, offset_min=1, filter_max=5)),
            "1c00 1080 0800 0200 7f000000 0800 0300 01000000 0800 0600 05000000",
        ),
        (
            CanParameters(supported_modes=CanSupportedModes(CanMode.LOOPBACK | CanMode.FD)),
            "0c00 1180 0800 0100 21000000",
        ),
        (CanParameters(xl_bit_timing=TIMING), "2400 1200" + TIMING_BYTES),
        (CanParameters(xl_bit_timing_limits=LIMITS), "3400 1300" + LIMITS_BYTES),
        (CanParameters(xl_bitrates=(10_000_000,)), "0800 1400 80969800"),
        (CanParameters(xl_delay=TransmitterDelay(offset=8)), "0c00 1580 0800 0800 08000000"),
        (
            CanParameters(pulse_width=PulseWidth(short_min=1, short=2, long=3, offset=4)),
            ("2400 1680 0800 0100 01000000 0800 0700 02000000"
            "0800 0800 03000000 0800 0900 04000000"),
        ),
    ],
    ids=lambda value: next(iter(attrs.asdict(value, filter=lambda _, content: content is not None)))
    if isinstance(value, CanParameters)
    else "",
)  # fmt: skip
def test_attributes(parameters: CanParameters, data: str) -> None:
    assert CAN_PARAMETERS.pack(parameters) == bytes.fromhex(data)
    assert CAN_PARAMETERS.unpack(bytes.fromhex(data)) == parameters


def test_every_field_has_an_attribute_in_the_kernels_order() -> None:
    table = CAN_PARAMETERS.table
    assert list(table) == list(range(1, 23))
    assert [name for name, _ in table.values()] == list(attrs.fields_dict(CanParameters))


@pytest.mark.parametrize(
    ("data", "parameters"),
    [
        (
            (
                "0800 0600 64000000 0600 0b00 78000000"
                "2400 0100 20a10700 6b030000 00000000 00000000 00000000 00000000 00000000 00000000"
                "2400 0900 80841e00 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
                "0c00 0500 22000000 20000000"
            ),
            CanParameters(
                bit_timing=BitTiming(500_000, 875),
                data_bit_timing=BitTiming(2_000_000),
                modes=CanModes(CanMode.LISTENONLY | CanMode.FD, CanMode.FD),
                restart_ms=100,
                termination=120,
            ),
        ),
        (
            (
                "2400 0100 20a10700 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
                "2400 0900 404b4c00 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
                "0c00 0500 20040000 20040000"
                "1c00 1080 0800 0700 09000000 0800 0800 08000000 0800 0900 07000000"
            ),
            CanParameters(
                bit_timing=BitTiming(500_000),
                data_bit_timing=BitTiming(5_000_000),
                modes=CanModes(*[CanMode.FD | CanMode.TDC_MANUAL] * 2),
                delay=TransmitterDelay(value=9, offset=8, filter=7),
            ),
        ),
        ("0800 0700 01000000", CanParameters(restart=1)),
    ],
)
def test_what_iproute2_asks_for(data: str, parameters: CanParameters) -> None:
    """``ip link set ... type can`` of iproute2 6.1: what stands in ``IFLA_INFO_DATA``."""
    assert CAN_PARAMETERS.unpack(bytes.fromhex(data)) == parameters
    assert len(CAN_PARAMETERS.pack(parameters)) == len(bytes.fromhex(data))


def test_statistics() -> None:
    statistics = CanStatistics(1, 2, 3, 4, 5, 6)
    data = bytes.fromhex("01000000 02000000 03000000 04000000 05000000 06000000")
    assert CAN_STATISTICS.pack(statistics) == data
    assert CAN_STATISTICS.unpack(data + bytes(8)) == statistics


def test_states_and_modes() -> None:
    assert [*CanState] == [0, 1, 2, 3, 4, 5]
    assert [*CanMode] == [1 << bit for bit in range(16)]


def test_a_state_and_a_mode_that_are_newer() -> None:
    parameters = CanParameters(state=9, modes=CanModes(0, 1 << 20))
    assert CAN_PARAMETERS.unpack(CAN_PARAMETERS.pack(parameters)) == parameters


def test_the_name_of_a_controller() -> None:
    longest = BitTimingConstants("a" * 16)
    assert BIT_TIMING_LIMITS.unpack(BIT_TIMING_LIMITS.pack(longest)) == longest
    for name in ("a" * 17, "\N{POUND SIGN}" * 9, "a\0b"):
        with pytest.raises(ValueError, match=r"^a controller's name has up to 16 bytes"):
            BIT_TIMING_LIMITS.pack(BitTimingConstants(name))
    assert BIT_TIMING_LIMITS.unpack(b"a\0b".ljust(48, b"\0")) == BitTimingConstants("a")


@pytest.mark.parametrize(
    ("number", "size"),
    [(1, 31), (2, 47), (3, 3), (4, 3), (5, 7), (8, 3), (11, 1), (12, 3), (13, 6), (16, 3), (17, 5)],
)
def test_attributes_that_are_too_short(number: int, size: int) -> None:
    with pytest.raises(MalformedMessageError):
        CAN_PARAMETERS.unpack(pack_attribute(number, b"\1" * size))
