"""Messages of links, and requests about them, byte by byte."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from anycan.wire.netlink_attributes import MalformedMessageError, pack_attribute
from anycan.wire.netlink_can import CanParameters, CanState, CanStatistics
from anycan.wire.netlink_link import (
    ARPHRD_CAN,
    Link,
    LinkFlag,
    LinkInfo,
    OperState,
)
from anycan.wire.netlink_requests import (
    change_link,
    configure_can,
    create_vcan,
    create_vxcan,
    delete_link,
    dump_links,
    get_link,
    set_down,
    set_up,
)
from anycan.wire.netlink_statistics import LinkStatistics
from anycan.wire.netlink_timing import BitTiming

if TYPE_CHECKING:
    from anycan.wire.netlink import NetlinkMessage

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

HEAD = "00000000 00000000 00000000 00000000"


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"name": "can0"}, "0900 0300 63616e30 00000000"),
        ({"mtu": 72}, "0800 0400 48000000"),
        ({"peer_index": 3}, "0800 0500 03000000"),
        ({"queueing": "noop"}, "0900 0600 6e6f6f70 00000000"),
        ({"master": 3}, "0800 0a00 03000000"),
        ({"queue_length": 10}, "0800 0d00 0a000000"),
        ({"oper_state": OperState.UP}, "0500 1000 06000000"),
        ({"info": LinkInfo()}, "0400 1200"),
        ({"info": LinkInfo("vcan")}, "1000 1200 0900 0100 7663616e 00000000"),
        (
            {"info": LinkInfo("vlan", b"\1\2", b"\3")},
            ("2000 1200 0900 0100 766c616e 00000000"
            "0600 0200 01020000 0500 0300 03000000"),
        ),
        ({"namespace_pid": 1}, "0800 1300 01000000"),
        ({"alias": "left"}, "0900 1400 6c656674 00000000"),
        ({"group": 0}, "0800 1b00 00000000"),
        ({"namespace_fd": 5}, "0800 1c00 05000000"),
        ({"promiscuity": 1}, "0800 1e00 01000000"),
        ({"carrier": 1}, "0500 2100 01000000"),
        ({"carrier_changes": 2}, "0800 2300 02000000"),
        ({"peer_namespace": -1}, "0800 2500 ffffffff"),
        ({"new_namespace": 2}, "0800 2d00 02000000"),
        ({"new_index": 2}, "0800 3100 02000000"),
        ({"mtu_min": 16}, "0800 3200 10000000"),
        ({"mtu_max": 2060}, "0800 3300 0c080000"),
        ({"other_names": ("a", "bc")}, "1400 3480 0600 3500 61000000 0700 3500 62630000"),
        ({"parent_name": "1-1:1.0"}, "0c00 3800 312d313a312e3000"),
        ({"parent_bus": "usb"}, "0800 3900 75736200"),
    ],
)  # fmt: skip
def test_attributes(fields: dict[str, Any], data: str) -> None:
    link = attrs.evolve(Link(), **fields)
    packed = bytes.fromhex(HEAD + data)
    padded = packed + bytes(-len(packed) % 4)
    assert link.pack() == padded
    assert Link.unpack(padded) == link


def test_the_head() -> None:
    flags = LinkFlag.UP | LinkFlag.ECHO
    link = Link(3, flags, LinkFlag.UP, ARPHRD_CAN, family=7)
    assert link.pack() == bytes.fromhex("0700 1801 03000000 01000400 01000000")
    assert Link.unpack(link.pack()) == link


def test_statistics() -> None:
    statistics = LinkStatistics(*range(1, 25))
    counts = struct.pack("=24Q", *range(1, 25))
    assert Link(statistics=statistics).pack()[16:] == bytes.fromhex("c400 1700") + counts
    for size in (192, 200, 208):  # rx_otherhost_dropped since Linux 5.19
        data = bytes(16) + pack_attribute(23, counts.ljust(size, b"\1"))
        assert Link.unpack(data).statistics == statistics
    data = bytes(16) + pack_attribute(23, counts[:184])
    assert Link.unpack(data).statistics == attrs.evolve(statistics, rx_nohandler=0)
    with pytest.raises(MalformedMessageError):
        Link.unpack(bytes(16) + pack_attribute(23, counts[:183]))


def test_a_controller() -> None:
    info = LinkInfo("can", CanParameters(state=CanState.ERROR_PASSIVE), CanStatistics(1, 2, 3))
    data = bytes.fromhex(
        HEAD + "3400 1200 0800 0100 63616e00 0c00 0200 0800 0400 02000000"
        "1c00 0300 01000000 02000000 03000000 00000000 00000000 00000000"
    )
    assert Link(info=info).pack() == data
    assert Link.unpack(data).info == info


def test_a_controller_that_tells_nothing() -> None:
    data = bytes.fromhex(HEAD + "0c00 1200 0800 0100 63616e00")
    assert Link.unpack(data).info == LinkInfo("can")


def test_the_kind_may_stand_behind_the_data() -> None:
    data = bytes.fromhex(HEAD + "1800 1200 0c00 0200 0800 0300 00127a00 0800 0100 63616e00")
    assert Link.unpack(data).info == LinkInfo("can", CanParameters(clock=8_000_000))


def test_data_of_no_kind_are_bytes() -> None:
    data = bytes.fromhex(HEAD + "1000 1200 0800 0200 01020304 0400 0300")
    assert Link.unpack(data).info == LinkInfo(None, b"\1\2\3\4", b"")


def test_a_peer_has_no_info() -> None:
    with pytest.raises(ValueError, match=r"^the peer of a vxcan has no info"):
        create_vxcan("a", Link(name="b", info=LinkInfo("vxcan")))


def test_peers_in_peers_are_not_followed() -> None:
    data = Link(name="last").pack()
    for _ in range(2000):
        peer = pack_attribute(2, pack_attribute(1, data)) + pack_attribute(1, b"vxcan")
        if len(peer) > 65000:
            break
        data = bytes(16) + pack_attribute(18, peer)
    assert len(data) > 60000
    assert Link.unpack(data) == Link(info=LinkInfo("vxcan", Link()))


def test_a_vxcan_without_its_peer() -> None:
    data = bytes.fromhex(HEAD + "1400 1200 0a00 0100 767863616e00 0000 0400 0200")
    assert Link.unpack(data).info == LinkInfo("vxcan")


def test_a_message_that_is_too_short() -> None:
    with pytest.raises(MalformedMessageError, match=r"^15 bytes, where at least 16 belong$"):
        Link.unpack(bytes(15))


def test_operational_states_and_flags() -> None:
    assert [*OperState] == [0, 1, 2, 3, 4, 5, 6]
    assert [*LinkFlag] == [1, 8, 0x40, 0x80, 0x10000, 0x20000, 0x40000]


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (
            create_vcan("vcan7", mtu=72),
            "44000000 1000 0506 05000000 00000000" + HEAD + "0a00 0300 7663616e37000000"
            "0800 0400 48000000 1000 1200 0900 0100 7663616e 00000000",
        ),
        (create_vcan(), "30000000 1000 0506 05000000 00000000" + HEAD
            + "1000 1200 0900 0100 7663616e 00000000"),
        (
            create_vxcan("vxcan0", Link(name="vxcan1", namespace_fd=5)),
            "68000000 1000 0506 05000000 00000000" + HEAD + "0b00 0300 767863616e300000"
            "3c00 1200 0a00 0100 767863616e000000 2c00 0200 2800 0100" + HEAD
            + "0b00 0300 767863616e310000 0800 1c00 05000000",
        ),
        (
            create_vxcan("vxcan0"),
            "3c000000 1000 0506 05000000 00000000" + HEAD + "0b00 0300 767863616e300000"
            "1000 1200 0a00 0100 767863616e000000",
        ),
        (set_up(2), ("20000000 1300 0500 05000000 00000000"
            "00000000 02000000 01000000 01000000")),
        (set_down(2), ("20000000 1300 0500 05000000 00000000"
            "00000000 02000000 00000000 01000000")),
        (change_link(Link(2, mtu=16, queue_length=1000)),
            ("30000000 1300 0500 05000000 00000000"
            "00000000 02000000 00000000 00000000 0800 0400 10000000 0800 0d00 e8030000")),
        (
            configure_can(2, CanParameters(restart=1)),
            ("38000000 1000 0500 05000000 00000000 00000000 02000000 00000000 00000000"
            "1800 1200 0800 0100 63616e00 0c00 0200 0800 0700 01000000"),
        ),
        (
            configure_can(2, CanParameters(restart_ms=0), up=True),
            ("38000000 1000 0500 05000000 00000000 00000000 02000000 01000000 01000000"
            "1800 1200 0800 0100 63616e00 0c00 0200 0800 0600 00000000"),
        ),
        (delete_link(2), ("20000000 1100 0500 05000000 00000000"
            "00000000 02000000 00000000 00000000")),
        (get_link(2), ("20000000 1200 0500 05000000 00000000"
            "00000000 02000000 00000000 00000000")),
        (get_link(name="can0"), "2c000000 1200 0500 05000000 00000000" + HEAD
            + "0900 0300 63616e30 00000000"),
        (dump_links(), "20000000 1200 0103 05000000 00000000" + HEAD),
        (dump_links("vcan"), "30000000 1200 0103 05000000 00000000" + HEAD
            + "1000 1200 0900 0100 7663616e 00000000"),
    ],
)  # fmt: skip
def test_requests(request_: NetlinkMessage, data: str) -> None:
    assert request_.pack(5).hex(" ", 4) == bytes.fromhex(data).hex(" ", 4)


@pytest.mark.parametrize(
    ("payload", "link"),
    [
        (  # ip link add vcan7 mtu 72 type vcan
            HEAD + "0800 0400 48000000 0a00 0300 7663616e37000000 0c00 1200 0800 0100 7663616e",
            Link(name="vcan7", mtu=72, info=LinkInfo("vcan")),
        ),
        (  # ip link add vxcan0 type vxcan peer name vxcan1
            HEAD + "0b00 0300 767863616e300000 3400 1200 0900 0100 767863616e000000"
            "2400 0200 2000 0100" + HEAD + "0b00 0300 767863616e310000",
            Link(name="vxcan0", info=LinkInfo("vxcan", Link(name="vxcan1"))),
        ),
        (  # ip link add vxcan0 type vxcan peer name vxcan1 netns 1
            HEAD + "0b00 0300 767863616e300000 3c00 1200 0900 0100 767863616e000000 2c00 0200"
            "2800 0100" + HEAD + "0800 1300 01000000 0b00 0300 767863616e310000",
            Link(name="vxcan0", info=LinkInfo("vxcan", Link(name="vxcan1", namespace_pid=1))),
        ),
        (  # ip link set ... type can restart
            (
                "00000000 02000000 00000000 00000000 1800 1200 0700 0100 63616e00"
                "0c00 0200 0800 0700 01000000"
            ),
            Link(2, info=LinkInfo("can", CanParameters(restart=1))),
        ),
        (  # ip link set ... type can bitrate 500000
            (
                "00000000 02000000 00000000 00000000 3400 1200 0700 0100 63616e00 2800 0200"
                "2400 0100 20a10700 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
            ),
            Link(2, info=LinkInfo("can", CanParameters(bit_timing=BitTiming(500_000)))),
        ),
    ],
)
def test_what_iproute2_asks_for(payload: str, link: Link) -> None:
    assert Link.unpack(bytes.fromhex(payload)) == link
    # It writes a kind without a zero byte at its end; its names have one.
    assert len(link.pack()) - len(bytes.fromhex(payload)) in {0, 4}
