"""Any value comes back from its bytes, and any bytes are a value or malformed."""

from __future__ import annotations

import sys
from struct import calcsize
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies

from anycan.filter import CanFilter
from anycan.wire import netlink_gateway, netlink_link
from anycan.wire.netlink import NLM_F_MULTI, NetlinkMessage, unpack_messages
from anycan.wire.netlink_attributes import (
    Each,
    Integer,
    Integers,
    MalformedMessageError,
    Nest,
    Record,
    Text,
)
from anycan.wire.netlink_can import CAN_PARAMETERS, CanParameters, CanState, CanStatistics
from anycan.wire.netlink_gateway import GatewayFlag, GatewayRoute, unpack_route
from anycan.wire.netlink_gateway_changes import Crc8Checksum, FrameChange, XorChecksum
from anycan.wire.netlink_link import Link, LinkInfo
from anycan.wire.netlink_statistics import LinkStatistics
from anycan.wire.netlink_timing import BIT_TIMING_LIMITS, BitTiming, BitTimingConstants

EXAMPLES = settings(max_examples=15)

u8 = strategies.integers(0, 0xFF)
s8 = strategies.integers(-0x80, 0x7F)
positions = strategies.integers(-64, 63)
u32 = strategies.integers(0, 2**32 - 1)
texts = strategies.binary(max_size=15).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


def integers(letter: str) -> strategies.SearchStrategy[int]:
    bits = 8 * calcsize("=" + letter)
    return strategies.integers(0, 2**bits - 1) if letter.isupper() else s8


def values(codec: Any) -> strategies.SearchStrategy[Any]:
    """Give what a codec can write."""
    found: strategies.SearchStrategy[Any]
    match codec:
        case Integer():
            found = integers(codec.format)
        case Integers():
            found = strategies.lists(integers(codec.format), max_size=3).map(tuple)
        case Each():
            found = strategies.lists(values(codec.codec), max_size=3).map(tuple)
        case Record():
            letters = "Q" if codec.layout.size > 100 else "H" if codec.layout.size == 4 else "I"
            numbers = [integers(letters)] * len(attrs.fields_dict(codec.kind))
            found = strategies.builds(codec.kind, *numbers)
        case Nest():
            found = nests(codec)
        case Text():
            found = texts
        case _:
            assert codec is BIT_TIMING_LIMITS
            found = strategies.builds(BitTimingConstants, texts, *[u32] * 8)
    return found


def nests(nest: Nest[Any]) -> strategies.SearchStrategy[Any]:
    fields = {name: strategies.none() | values(codec) for name, codec in nest.table.values()}
    return strategies.builds(nest.kind, **fields)


words = strategies.integers(0, 2**32 - 1).map(lambda word: word & ~0x20000000)


@strategies.composite
def routes(draw: strategies.DrawFn) -> GatewayRoute:
    flags = draw(strategies.integers(0, 15))
    size = 64 if flags & GatewayFlag.FD else 8
    data = strategies.just(b"") | strategies.binary(min_size=size, max_size=size)
    changes = strategies.none() | strategies.builds(FrameChange, u8, u32, u8, data, u8)
    checksums = strategies.builds(XorChecksum, positions, positions, positions, u8)
    tables = strategies.binary(min_size=256, max_size=256)
    few = strategies.binary(max_size=20)
    crcs = strategies.builds(Crc8Checksum, positions, positions, positions, tables, u8, u8, u8, few)
    return GatewayRoute(
        draw(u32),
        draw(u32),
        flags,
        draw(strategies.builds(CanFilter, words, u32, strategies.booleans())),
        draw(changes),
        draw(changes),
        draw(changes),
        draw(changes),
        draw(strategies.none() | checksums),
        draw(strategies.none() | crcs),
        draw(u8),
        draw(u32),
        draw(u32),
        draw(u32),
        draw(u32),
    )


@EXAMPLES
@given(nests(CAN_PARAMETERS))
def test_any_controller_comes_back(parameters: CanParameters) -> None:
    assert CAN_PARAMETERS.unpack(CAN_PARAMETERS.pack(parameters)) == parameters


peers = nests(netlink_link._PEER.nest)
statistics = strategies.builds(CanStatistics, *[u32] * 6)
infos = strategies.one_of(
    strategies.builds(LinkInfo, strategies.just("can"), nests(CAN_PARAMETERS), statistics),
    strategies.builds(LinkInfo, strategies.just("vxcan"), strategies.none() | peers),
    strategies.builds(LinkInfo, strategies.just("vlan"), strategies.none() | strategies.binary()),
)


@EXAMPLES
@given(peers, strategies.none() | infos.filter(lambda info: info.kind != "can"))
def test_any_link_comes_back(link: Link, info: LinkInfo | None) -> None:
    link = attrs.evolve(link, info=info)
    assert Link.unpack(link.pack()) == link


@EXAMPLES
@given(routes())
def test_any_rule_comes_back(route: GatewayRoute) -> None:
    assert GatewayRoute.unpack(route.pack()) == route


CONTROLLER = Link(
    3,
    0x10041,
    device_type=280,
    name="can0",
    statistics=LinkStatistics(*range(24)),
    info=LinkInfo(
        "can",
        CanParameters(BitTiming(500_000), BitTimingConstants("x"), 8_000_000, CanState.BUS_OFF),
        CanStatistics(1, 2),
    ),
    other_names=("a", "bc"),
)
PAIR = Link(name="a", info=LinkInfo("vxcan", Link(name="b", namespace_fd=5)))
RULE = GatewayRoute(
    1,
    2,
    filter=CanFilter(1, 2),
    mod_set=FrameChange.of(can_id=1),
    xor=XorChecksum(0, 1, 2),
    crc8=Crc8Checksum(0, 1, 2, bytes(256)),
    uid=3,
)


def decode(data: bytes, kind: int = netlink_link.RTM_NEWLINK) -> None:
    """Decode a payload as everything that it may be: nothing but the one error is raised."""
    for unpack in (Link.unpack, GatewayRoute.unpack, CAN_PARAMETERS.unpack):
        try:
            unpack(data)
        except MalformedMessageError:
            continue
    try:
        unpack_route(NetlinkMessage(kind, 0, data))
    except MalformedMessageError:
        return


@pytest.mark.parametrize("value", [CONTROLLER, PAIR, RULE], ids=["controller", "pair", "rule"])
def test_values_cut_short_anywhere(value: Link | GatewayRoute) -> None:
    data = value.pack()
    for size in range(len(data)):
        decode(data[:size], netlink_gateway.RTM_NEWROUTE)
        try:
            assert type(value).unpack(data[:size]) != value
        except MalformedMessageError:
            continue
        except AssertionError:
            assert len(data) - size < 4  # the padding alone is missing


@pytest.mark.parametrize("value", [CONTROLLER, PAIR, RULE], ids=["controller", "pair", "rule"])
def test_datagrams_cut_short_anywhere(value: Link | GatewayRoute) -> None:
    data = NetlinkMessage(16, NLM_F_MULTI, value.pack(), 7).pack()
    for size in range(1, len(data)):
        with pytest.raises(MalformedMessageError):
            unpack_messages(data[:size])


@given(
    strategies.sampled_from([CONTROLLER.pack(), PAIR.pack(), RULE.pack()]),
    strategies.lists(strategies.tuples(strategies.integers(0, 500), u8), max_size=4),
)
def test_values_with_bytes_changed(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(data)] = value
    decode(bytes(changed), netlink_gateway.RTM_NEWROUTE)


@given(strategies.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    decode(data)
    decode(b"\x1d\x01\x00\x00" + data, netlink_gateway.RTM_NEWROUTE)
    decode(bytes(16) + data)


@pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")
def test_a_length_of_zero_ends() -> None:
    with pytest.raises(MalformedMessageError):
        Link.unpack(bytes(16 + 64))
