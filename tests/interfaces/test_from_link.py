"""From what the kernel tells of an interface to the value for users."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from anycan import CanErrorCounters, CanMode, CanState, Interface, LinkCondition
from anycan.interfaces import from_link
from anycan.interfaces.from_link import driver_of, interface_of, is_can
from anycan.wire.netlink_can import (
    CanModes,
    CanParameters,
    CanStatistics,
    CanSupportedModes,
)
from anycan.wire.netlink_link import ARPHRD_CAN, Link, LinkFlag, LinkInfo
from anycan.wire.netlink_statistics import LinkStatistics
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants, TransmitterDelay

if TYPE_CHECKING:
    from pathlib import Path


def attribute(number: int, content: bytes) -> bytes:
    """Give a netlink attribute, padded to four bytes."""
    size = 4 + len(content)
    return struct.pack("=HH", size, number) + content + bytes(-size % 4)


def u32(number: int, value: int) -> bytes:
    return attribute(number, struct.pack("=I", value))


def message(*attributes: bytes, index: int = 5, flags: int = 0x10041) -> Link:
    """Read a message of rtnetlink: a struct ifinfomsg of type 280, and attributes."""
    head = struct.pack("=BxHiII", 0, 280, index, flags, 0)
    return Link.unpack(head + b"".join(attributes))


def test_the_bytes_of_a_controller() -> None:
    timing = struct.pack("=8I", 500_000, 875, 125, 6, 7, 2, 1, 1)
    limits = struct.pack("=16s8I", b"sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
    can = b"".join(
        (
            attribute(1, timing),
            attribute(2, limits),
            u32(3, 8_000_000),
            u32(4, 2),
            attribute(5, struct.pack("=II", 0, 0x10)),
            u32(6, 100),
            attribute(8, struct.pack("=HH", 130, 5)),
            u32(15, 0),
            attribute(17, attribute(1, struct.pack("=I", 0x1F))),
        )
    )
    info = attribute(1, b"can\0") + attribute(2, can)
    info += attribute(3, struct.pack("=6I", 1, 2, 3, 4, 5, 6))
    link = message(
        attribute(3, b"can0\0"),
        u32(4, 16),
        u32(13, 10),
        attribute(6, b"pfifo_fast\0"),
        attribute(33, b"\1"),
        u32(35, 2),
        attribute(18, info),
        attribute(56, b"0000:00:04.0\0"),
        attribute(57, b"pci\0"),
    )
    assert is_can(link)
    can0 = interface_of(link, driver="kvaser_pci")
    assert can0 == Interface(
        index=5,
        name="can0",
        kind="can",
        network="kernel",
        up=True,
        carrier=True,
        mtu=16,
        queue_length=10,
        queueing="pfifo_fast",
        state=CanState.ERROR_PASSIVE,
        modes=CanMode.BERR_REPORTING,
        supported_modes=CanMode(0x1F),
        bit_timing=BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1),
        bit_timing_constants=BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1),
        clock=8_000_000,
        restart=0.1,
        error_counters=CanErrorCounters(130, 5),
        can_statistics=CanStatistics(1, 2, 3, 4, 5, 6),
        driver="kvaser_pci",
        parent_bus="pci",
        parent_name="0000:00:04.0",
        carrier_changes=2,
    )
    assert (can0.bitrate, can0.data_bitrate, can0.condition) == (500_000, None, LinkCondition.UP)
    assert (can0.takes_fd, can0.takes_xl) == (False, False)


def test_the_bytes_of_one_end_of_a_pair() -> None:
    link = message(
        attribute(3, b"vxcan0\0"),
        u32(4, 72),
        u32(5, 9),
        attribute(18, attribute(1, b"vxcan\0")),
        attribute(37, struct.pack("=i", 3)),
        flags=0x10040,
    )
    assert interface_of(link) == Interface(
        index=5, name="vxcan0", kind="vxcan", mtu=72, peer_index=9, peer_namespace=3
    )


def test_everything_that_the_kernel_may_tell() -> None:
    data = CanParameters(
        data_bit_timing=BitTiming(bitrate=2_000_000),
        data_bit_timing_limits=BitTimingConstants("x"),
        termination=120,
        terminations=(0, 120),
        bitrates=(125_000,),
        data_bitrates=(2_000_000,),
        bitrate_max=8_000_000,
        delay=TransmitterDelay(offset=20),
        modes=CanModes(0, CanMode.FD | CanMode.TDC_AUTO),
    )
    link = Link(
        1,
        0,
        device_type=ARPHRD_CAN,
        name="can0",
        info=LinkInfo("can", data),
        statistics=LinkStatistics(rx_packets=3),
        alias="left",
        other_names=("one", "two"),
        group=4,
    )
    assert interface_of(link, "elsewhere") == Interface(
        index=1,
        name="can0",
        kind="can",
        network="elsewhere",
        mtu=0,
        modes=CanMode.FD | CanMode.TDC_AUTO,
        data_bit_timing=BitTiming(bitrate=2_000_000),
        data_bit_timing_constants=BitTimingConstants("x"),
        termination=120,
        terminations=(0, 120),
        bitrates=(125_000,),
        data_bitrates=(2_000_000,),
        bitrate_max=8_000_000,
        delay=TransmitterDelay(offset=20),
        statistics=LinkStatistics(rx_packets=3),
        alias="left",
        other_names=("one", "two"),
        group=4,
    )


def test_an_interface_whose_driver_tells_no_kind() -> None:
    """Such as slcan before Linux 6.0."""
    slcan = interface_of(Link(3, LinkFlag.UP, device_type=ARPHRD_CAN, name="slcan0", mtu=16))
    assert (slcan.kind, slcan.state, slcan.modes, slcan.condition) == (
        None,
        None,
        None,
        LinkCondition.UP,
    )


@pytest.mark.parametrize(
    ("told", "field", "expected"),
    [
        ({"state": 6}, "state", None),
        ({"state": 3}, "state", CanState.BUS_OFF),
        ({"restart_ms": 0}, "restart", 0.0),
        ({"restart_ms": None}, "restart", None),
        ({"bitrate_max": 0}, "bitrate_max", None),
        ({"supported_modes": CanSupportedModes()}, "supported_modes", None),
        ({"modes": CanModes(0, 0)}, "modes", CanMode(0)),
        ({"modes": CanModes(0, 0x10000)}, "modes", CanMode(0x10000)),
    ],
)
def test_what_is_not_told_or_not_known(told: Any, field: str, expected: object) -> None:
    link = Link(1, info=LinkInfo("can", CanParameters(**told)))
    assert getattr(interface_of(link), field) == expected


def test_data_of_another_kind_are_passed_over() -> None:
    link = Link(1, info=LinkInfo("later", b"\1\2\3\4", b"\5"))
    found = interface_of(link)
    assert (found.kind, found.can_statistics, found.name) == ("later", None, "")


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"up": True, "state": CanState.BUS_OFF}, LinkCondition.BUS_OFF),
        ({"up": False, "state": CanState.BUS_OFF}, LinkCondition.DOWN),
        ({"up": True, "state": CanState.ERROR_PASSIVE}, LinkCondition.UP),
        ({"up": True}, LinkCondition.UP),
        ({"up": True, "kind": "vcan", "state": CanState.BUS_OFF}, LinkCondition.UP),
        ({"up": True, "kind": "vxcan", "carrier": True}, LinkCondition.UP),
        ({"up": True, "kind": "vxcan"}, LinkCondition.NO_CARRIER),
        ({"up": True, "kind": "can"}, LinkCondition.UP),  # told late, and its state says it
        ({"up": True, "kind": "can", "state": CanState.BUS_OFF}, LinkCondition.BUS_OFF),
    ],
)
def test_whether_frames_can_pass(fields: dict[str, Any], condition: LinkCondition) -> None:
    assert Interface(index=1, name="x", **fields).condition is condition


@pytest.mark.parametrize(
    ("mtu", "flexible", "long"),
    [(16, False, False), (72, True, False), (76, True, True), (2060, True, True)],
)
def test_what_an_mtu_lets_through(mtu: int, flexible: bool, long: bool) -> None:
    interface = Interface(index=1, name="x", mtu=mtu)
    assert (interface.takes_fd, interface.takes_xl) == (flexible, long)


def test_the_driver_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drivers" / "gs_usb").mkdir(parents=True)
    device = tmp_path / "can0" / "device"
    device.mkdir(parents=True)
    (device / "driver").symlink_to(tmp_path / "drivers" / "gs_usb")
    (tmp_path / "vcan0").mkdir()
    monkeypatch.setattr(from_link, "_SYSTEM_FILES", tmp_path)
    names = ["can0", "vcan0", "gone", "", "nu\0ll"]
    assert [driver_of(name) for name in names] == ["gs_usb", None, None, None, None]
