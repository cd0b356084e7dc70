"""Rules of the kernel's CAN gateway, byte by byte.

Where a comment names a call of cangw (can-utils 2020.11), the bytes are what it has sent to the
kernel. It writes attributes in another order, so that they are compared as rules.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

import pytest

from anycan.filter import CanFilter
from anycan.wire.netlink import NetlinkMessage, unpack_messages
from anycan.wire.netlink_attributes import MalformedMessageError, pack_attribute
from anycan.wire.netlink_gateway import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    GatewayFlag,
    GatewayRoute,
    add_route,
    delete_route,
    dump_routes,
    flush_routes,
    unpack_route,
)
from anycan.wire.netlink_gateway_changes import (
    ChangedPart,
    Crc8Checksum,
    CrcProfile,
    FrameChange,
    XorChecksum,
)

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

ENDS = "0800 0900 01000000 0800 0a00 02000000"  # CGW_SRC_IF, CGW_DST_IF
HEAD = "1d 01 0000"
FD_HEAD = "1d 01 0800"
DATA = bytes.fromhex("1122334455667788")
TABLE = bytes(value ^ 0x1D for value in range(256))


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        ({}, "", ""),
        ({"xor": XorChecksum(0, -2, -1, 0xA5)}, "0800 0500 00feffa5", ""),
        (
            {"crc8": Crc8Checksum(0, 6, 7, TABLE, 0xFF, 0xAA, CrcProfile.ONE, b"\x11")},
            "1e01 0600 000607ffaa" + TABLE.hex() + "01 11" + "00" * 19 + "0000",
            "",
        ),
        ({"handled": 5}, "0800 0700 05000000", ""),
        ({"dropped": 6}, "0800 0800 06000000", ""),
        ({"filter": CanFilter(0x123, 0xC00007FF)}, "", "0c00 0b00 23010000 ff0700c0"),
        ({"filter": CanFilter(0x123, 0x7FF, inverted=True)}, "", "0c00 0b00 23010020 ff070000"),
        ({"deleted": 7}, "", "0800 0c00 07000000"),
        ({"hop_limit": 2}, "", "0500 0d00 02000000"),
        ({"uid": 0x1122}, "", "0800 0e00 22110000"),
    ],
)
def test_attributes(fields: dict[str, Any], before: str, after: str) -> None:
    route = GatewayRoute(1, 2, **fields)
    data = bytes.fromhex(HEAD + before + ENDS + after)
    assert route.pack() == data
    assert GatewayRoute.unpack(data) == route


@pytest.mark.parametrize(
    ("number", "name"), [(1, "mod_and"), (2, "mod_or"), (3, "mod_xor"), (4, "mod_set")]
)
def test_changes_of_classical_frames(number: int, name: str) -> None:
    fields: dict[str, Any] = {name: FrameChange.of(can_id=0x80000333, length=4, data=DATA)}
    route = GatewayRoute(1, 2, **fields)
    data = "33030080 04 000000 1122334455667788 07 000000"
    packed = bytes.fromhex(HEAD + ENDS + f"1500 0{number}00" + data)
    assert route.pack() == packed
    assert GatewayRoute.unpack(packed) == route


@pytest.mark.parametrize(
    ("number", "name"), [(15, "mod_and"), (16, "mod_or"), (17, "mod_xor"), (18, "mod_set")]
)
def test_changes_of_can_fd_frames(number: int, name: str) -> None:
    content = bytes(range(64))
    operand = FrameChange.of(can_id=0x333, length=64, data=content, flags=1)
    fields: dict[str, Any] = {name: operand}
    route = GatewayRoute(1, 2, GatewayFlag.FD, **fields)
    data = "33030000 40 01 0000" + content.hex() + "0f 000000"
    packed = bytes.fromhex(FD_HEAD + ENDS + f"4d00 {number:02x}00" + data)
    assert route.pack() == packed
    assert GatewayRoute.unpack(packed) == route


def test_changes_of_the_other_kind_of_frame_are_not_looked_at() -> None:
    classical = bytes.fromhex(HEAD + ENDS) + pack_attribute(15, bytes(73))
    flexible = bytes.fromhex(FD_HEAD + ENDS) + pack_attribute(1, bytes(17))
    assert GatewayRoute.unpack(classical) == GatewayRoute(1, 2)
    assert GatewayRoute.unpack(flexible) == GatewayRoute(1, 2, GatewayFlag.FD)


def test_flags() -> None:
    flags = GatewayFlag.ECHO | GatewayFlag.SRC_TSTAMP | GatewayFlag.IIF_TX_OK
    assert GatewayRoute(1, 2, flags).pack() == bytes.fromhex("1d 01 0700" + ENDS)
    assert [*GatewayFlag] == [1, 2, 4, 8]
    assert [*ChangedPart] == [1, 2, 4, 8]
    assert [*CrcProfile] == [0, 1, 2, 3]


def test_parts_that_a_change_is_for() -> None:
    assert FrameChange.of() == FrameChange(0)
    assert FrameChange.of(can_id=0).parts == ChangedPart.ID
    assert FrameChange.of(length=0).parts == ChangedPart.LENGTH
    assert FrameChange.of(data=bytes(8)).parts == ChangedPart.DATA
    assert FrameChange.of(flags=0).parts == ChangedPart.FLAGS
    assert FrameChange.of(can_id=1, flags=2) == FrameChange(9, can_id=1, flags=2)


def test_padding_makes_no_other_rule() -> None:
    one, other = FrameChange(4), FrameChange(4, data=bytes(8))
    assert one == other
    assert hash(one) == hash(other)
    assert one != FrameChange(4, data=DATA)
    assert Crc8Checksum(0, 1, 2, TABLE) == Crc8Checksum(0, 1, 2, TABLE, profile_data=bytes(20))
    assert Crc8Checksum(0, 1, 2, TABLE) != Crc8Checksum(0, 1, 2, bytes(256))


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        (GatewayRoute(1, 2, mod_or=FrameChange.of(data=b"1")), "data of 1 bytes, and not 8"),
        (GatewayRoute(1, 2, mod_or=FrameChange.of(data=bytes(64))), "64 bytes, and not 8"),
        (GatewayRoute(1, 2, GatewayFlag.FD, mod_or=FrameChange.of(data=DATA)), "and not 64"),
    ],
)
def test_rules_that_cannot_be_written(route: GatewayRoute, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        route.pack()


@pytest.mark.parametrize(
    "route",
    [
        GatewayRoute(-1, 2),
        GatewayRoute(1, 2, hop_limit=256),
        GatewayRoute(1, 2, mod_set=FrameChange.of(length=256)),
    ],
)
def test_numbers_without_room(route: GatewayRoute) -> None:
    with pytest.raises(struct.error):
        route.pack()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("1d 01 00", "3 bytes, where at least 4 belong"),
        ("02 01 0000" + ENDS, "a route of family 2 and type 1, not of CAN"),
        ("1d 02 0000" + ENDS, "a route of family 29 and type 2, not of CAN"),
        (HEAD, "a rule without its source or its destination"),
        (HEAD + ENDS[:18], "a rule without its source or its destination"),
        (HEAD + ENDS[19:], "a rule without its source or its destination"),
        (HEAD + ENDS + "0800 0100 00000000", "4 bytes, where at least 17 belong"),
        (HEAD + ENDS + "0700 0b00 00000000", "3 bytes, where at least 8 belong"),
        (FD_HEAD + ENDS + "0800 0f00 00000000", "4 bytes, where at least 73 belong"),
        (HEAD + ENDS + "0800 0600 00000000", "4 bytes, where at least 282 belong"),
        (HEAD + ENDS + "0800 0500 bffeff00", "XorChecksum: first is .* not -65"),
        (HEAD + ENDS + "1e01 0600 000640" + "00" * 281, "Crc8Checksum: result is .* not 64"),
        (HEAD + ENDS + "07", "1 bytes are left over behind an attribute"),
    ],
)
def test_what_is_no_rule(data: str, problem: str) -> None:
    with pytest.raises(MalformedMessageError, match=problem):
        GatewayRoute.unpack(bytes.fromhex(data))


COUNTED = GatewayRoute(1, 2, GatewayFlag.ECHO, uid=1, handled=5, dropped=6, deleted=7)


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (add_route(COUNTED), "2c000000 1800 0500 05000000 00000000 1d 01 0100" + ENDS
            + "0800 0e00 01000000"),
        (delete_route(COUNTED), "2c000000 1900 0500 05000000 00000000 1d 01 0100" + ENDS
            + "0800 0e00 01000000"),
        (flush_routes(), ("24000000 1900 0500 05000000 00000000 1d 01 0000 "
            "0800 0900 00000000 0800 0a00 00000000")),
        (dump_routes(), "14000000 1a00 0103 05000000 00000000 1d 01 0000"),
    ],
)  # fmt: skip
def test_requests(request_: NetlinkMessage, data: str) -> None:
    assert request_.pack(5) == bytes.fromhex(data)


def test_a_rule_without_its_counts() -> None:
    assert COUNTED.without_counts() == GatewayRoute(1, 2, GatewayFlag.ECHO, uid=1)


@pytest.mark.parametrize(
    ("data", "kind", "route"),
    [
        (  # cangw -A -s lo -d ifb0 -e
            "24000000 1800 0500 00000000 00000000 1d010100 0800 0900 01000000 0800 0a00 02000000",
            RTM_NEWROUTE,
            GatewayRoute(1, 2, GatewayFlag.ECHO),
        ),
        (  # cangw -F
            "24000000 1900 0500 00000000 00000000 1d010000 0800 0900 00000000 0800 0a00 00000000",
            RTM_DELROUTE,
            GatewayRoute(0, 0),
        ),
        (  # cangw -D -s lo -d ifb0 -f 123:C00007FF -u 1122
            (
                "38000000 1900 0500 00000000 00000000 1d010000 0800 0900 01000000"
                "0800 0a00 02000000 0c00 0b00 23010000 ff0700c0 0800 0e00 22110000"
            ),
            RTM_DELROUTE,
            GatewayRoute(1, 2, filter=CanFilter(0x123, 0xC00007FF), uid=0x1122),
        ),
        (  # cangw -A -s lo -d ifb0 -e -i -t -u 1122 -l 2 -f 123~C00007FF -x 0:-2:-1:A5
            # -m AND:IL:7F0.8.00... -m OR:I:5.0.00... -m XOR:D:0.0.FF00000000000001
            # -m SET:ILD:80000333.4.1122334455667788
            (
                "a8000000 1800 0500 00000000 00000000 1d010700 0800 0900 01000000"
                "0800 0a00 02000000 0c00 0b00 23010020 ff0700c0 0800 0500 00feffa5"
                "0800 0e00 22110000 0500 0d00 02000000"
                "1500 0100 f0070000 08000000 0000000000000000 03000000"
                "1500 0200 05000000 00000000 0000000000000000 01000000"
                "1500 0300 00000000 00000000 ff00000000000001 04000000"
                "1500 0400 33030080 04000000 1122334455667788 07000000"
            ),
            RTM_NEWROUTE,
            GatewayRoute(
                1,
                2,
                GatewayFlag.ECHO | GatewayFlag.IIF_TX_OK | GatewayFlag.SRC_TSTAMP,
                CanFilter(0x123, 0xC00007FF, inverted=True),
                FrameChange.of(can_id=0x7F0, length=8),
                FrameChange.of(can_id=5),
                FrameChange.of(data=bytes.fromhex("ff00000000000001")),
                FrameChange.of(can_id=0x80000333, length=4, data=DATA),
                XorChecksum(0, -2, -1, 0xA5),
                hop_limit=2,
                uid=0x1122,
            ),
        ),
        (  # cangw -A -s lo -d ifb0 -X -M SET:IFLD:333.1.40.AB... -M AND:D:0.0.0.F0...
            (
                "c4000000 1800 0500 00000000 00000000 1d010800 0800 0900 01000000"
                "0800 0a00 02000000 4d00 1200 33030000 40010000" + "ab" * 64 + "0f000000"
                "4d00 0f00 00000000 00000000" + "f0" * 64 + "04000000"
            ),
            RTM_NEWROUTE,
            GatewayRoute(
                1,
                2,
                GatewayFlag.FD,
                mod_and=FrameChange.of(data=b"\xf0" * 64),
                mod_set=FrameChange.of(can_id=0x333, length=64, data=b"\xab" * 64, flags=1),
            ),
        ),
        (  # cangw -A -s lo -d ifb0 -m SET:D:0.0.00... -c 0:6:7:FF:AA:1D1C... -p 2:0011...EEFF
            (
                "5c010000 1800 0500 00000000 00000000 1d010000 0800 0900 01000000"
                "0800 0a00 02000000 1e01 0600 000607ffaa" + TABLE.hex() + "02"
                "00112233445566778899aabbccddeeff00000000 0000 1500 0400" + "00" * 16 + "04000000"
            ),
            RTM_NEWROUTE,
            GatewayRoute(
                1,
                2,
                mod_set=FrameChange.of(data=bytes(8)),
                crc8=Crc8Checksum(
                    0,
                    6,
                    7,
                    TABLE,
                    0xFF,
                    0xAA,
                    CrcProfile.SIXTEEN,
                    bytes.fromhex("00112233445566778899aabbccddeeff"),
                ),
            ),
        ),
    ],
)
def test_what_cangw_asks_for(data: str, kind: int, route: GatewayRoute) -> None:
    (message,) = unpack_messages(bytes.fromhex(data))
    assert (message.type, message.flags) == (kind, 5)
    assert GatewayRoute.unpack(message.payload) == route
    assert GatewayRoute.unpack(route.pack()) == route
    assert len(route.pack()) == len(message.payload)


def test_what_cangw_asks_for_to_list_them() -> None:
    """It adds two attributes, which a dump does not look at."""
    data = "24000000 1a00 0103 00000000 00000000 1d010000 0800 0900 00000000 0800 0a00 00000000"
    (message,) = unpack_messages(bytes.fromhex(data))
    ours = dump_routes()
    assert (message.type, message.flags) == (ours.type, ours.flags)
    assert message.payload[:4] == ours.payload


def test_answers_to_a_dump() -> None:
    payload = GatewayRoute(1, 2).pack()
    assert unpack_route(NetlinkMessage(RTM_NEWROUTE, 2, payload)) == GatewayRoute(1, 2)
    assert unpack_route(NetlinkMessage(RTM_GETROUTE, 2, payload)) is None
    assert unpack_route(NetlinkMessage(RTM_NEWROUTE, 2, b"\x02" + payload[1:])) is None
    assert unpack_route(NetlinkMessage(RTM_NEWROUTE, 2, b"")) is None
    with pytest.raises(MalformedMessageError):
        unpack_route(NetlinkMessage(RTM_NEWROUTE, 2, payload[:4]))
