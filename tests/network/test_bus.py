"""Who on a bus hears a frame, and as what."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import FdFrame, Frame, RemoteFrame, UserNetwork
from anycan.network.core.bus import on_the_wire, without_dlc
from anycan.wire.frames import decode_frame, encode_frame
from anycan.wire.netlink_can import CanMode, CanModes, CanParameters
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.conftest import Probe

DONTROUTE, CONFIRM = 0x4, 0x800
SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)


def can(word: int, data: bytes = b"", dlc: int = 0) -> bytes:
    return struct.pack("=IBxxB8s", word, len(data), dlc, data)


def canfd(word: int, data: bytes = b"", flags: int = 4) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), flags, data)


def set_modes(network: UserNetwork, name: str, modes: CanMode) -> None:
    """Set control modes, while the interface is down, and set it up again."""
    interface = network._stack.by_name[name]
    network.set_down(name)
    interface.configure(CanParameters(modes=CanModes(int(modes), int(modes))))
    network.set_up(name)


@pytest.fixture
def heard(network: UserNetwork, probe: Callable[..., Probe]) -> Callable[..., list[str]]:
    """Give who hears a frame of a controller, of those with these names."""

    def heard_by(sender: str, *names: str, payload: bytes = can(1)) -> list[str]:
        probes = {name: probe(name, fd=1) for name in names}
        for one in probes.values():
            one.receive()  # that the link is down
        one = probe(sender, [], fd=1)
        one.receive()
        assert one.send(payload) == ""
        return [name for name, one in probes.items() if one.words()]

    network.add_can("can0", bitrate=500_000, data_bitrate=2_000_000)
    return heard_by


def test_the_others_hear_a_frame_as_one_from_the_bus(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    for name in ("can0", "can1", "can2"):
        network.add_can(name, bitrate=500_000)
    names = {4: "can0", 5: "can1", 6: "can2"}
    sender, local, *others = probe("can0", own=1), probe("can0"), probe("can1"), probe("can2")
    assert sender.send(can(0x123, b"ab")) == ""
    for one, flags in ((sender, DONTROUTE | CONFIRM), (local, DONTROUTE)):
        assert one.core.receive(one.buffer) == 1
        assert one.buffer.message(0, names) == (can(0x123, b"ab"), flags, "can0")
    for one, name in zip(others, ("can1", "can2"), strict=True):
        assert one.core.receive(one.buffer) == 1
        assert one.buffer.message(0, names) == (can(0x123, b"ab"), 0, name)
    can0, can1, can2 = network.interfaces()[3:]
    assert (can0.sent, can0.received) == (1, 0)  # an echo is not received
    assert [(one.sent, one.received) for one in (can1, can2)] == [(0, 1), (0, 1)]
    counters = network._stack.by_name["can1"].counters
    assert counters.received_bytes == 2


def test_without_loopback_the_bus_hears_it_all_the_same(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_can("can0", bitrate=500_000)
    network.add_can("can1", bitrate=500_000)
    sender, local, other = probe("can0", loopback=0, own=1), probe("can0"), probe("can1")
    sender.send(can(1))
    assert (sender.words(), local.words(), other.words()) == ([], [], [1])


def test_a_frame_is_sent_though_nobody_hears_it(heard: Callable[..., list[str]]) -> None:
    assert heard("can0") == []


def test_each_bus_is_its_own(network: UserNetwork, heard: Callable[..., list[str]]) -> None:
    network.add_can("can1", bus="body", bitrate=500_000)
    network.add_can("can2", bus="body", bitrate=500_000)
    assert heard("can0", "can1", "can2") == []
    assert heard("can1", "can0", "can2") == ["can2"]
    with UserNetwork() as another:
        another.add_can("can3", bitrate=500_000)
        assert heard("can0", "can1") == []
        assert another.interfaces()[0].received == 0


def test_who_is_down_or_removed_or_bus_off_hears_nothing(
    network: UserNetwork, heard: Callable[..., list[str]]
) -> None:
    names = ("can1", "can2", "can3", "can4")
    for name in names:
        network.add_can(name, bitrate=500_000)
    network.set_down("can1")
    network.set_bus_off("can2")
    network.remove("can4")
    assert heard("can0", "can1", "can2", "can3") == ["can3"]
    network.set_up("can1")
    network.restart("can2")
    assert heard("can0", "can1", "can2", "can3") == ["can1", "can2", "can3"]


def test_bit_rates_have_to_be_the_same_to_a_percent(
    network: UserNetwork, heard: Callable[..., list[str]]
) -> None:
    network.add_can("can1", bitrate=250_000)
    network.add_can("can2", bitrate=500_000, clock=8_000_000, constants=SJA1000)
    network.add_can("can3", bitrate=497_000)  # 496_894: 0.6 % less
    network.add_can("can4", bitrate=494_000)  # 493_827: 1.2 % less
    assert heard("can0", "can1", "can2", "can3", "can4") == ["can2", "can3"]


def test_can_fd_reaches_those_that_have_it_on(
    network: UserNetwork, heard: Callable[..., list[str]]
) -> None:
    network.add_can("can1", bitrate=500_000)
    network.add_can("can2", bitrate=500_000, data_bitrate=2_000_000)
    network.add_can("can3", bitrate=500_000, data_bitrate=4_000_000)
    network.add_can("can4", bitrate=500_000, data_bitrate=2_000_000)
    set_modes(network, "can4", CanMode.FD_NON_ISO)
    names = ("can1", "can2", "can3", "can4")
    assert heard("can0", *names, payload=can(1)) == list(names)
    assert heard("can0", *names, payload=canfd(1)) == ["can2", "can3"]
    assert heard("can0", *names, payload=canfd(1, flags=1)) == ["can2"]  # BRS
    set_modes(network, "can0", CanMode.FD_NON_ISO)
    assert heard("can0", *names, payload=canfd(1)) == ["can4"]


def test_who_hears_is_known_after_every_change(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    """Of a bus that remembers who hears a frame."""
    for name in ("can0", "can1"):
        network.add_can(name, bitrate=500_000, data_bitrate=2_000_000)
    sender = probe("can0", [], fd=1)
    other = network._stack.by_name["can1"]

    def hears(payload: bytes = can(1)) -> bool:
        before = other.counters.received
        for _ in range(2):  # the second by what is remembered
            assert sender.send(payload) == ""
        assert other.counters.received - before in {0, 2}
        return other.counters.received > before

    def configure(parameters: CanParameters) -> None:
        network.set_down("can1")
        other.configure(parameters)
        network.set_up("can1")

    assert hears()
    assert hears(canfd(1))
    network.set_down("can1")
    assert not hears()
    network.set_up("can1")
    assert hears()
    network.set_bus_off("can1")
    assert not hears()
    network.restart("can1")
    assert hears()
    network.set_down("can1")
    network.set_mtu("can1", 16)  # CAN FD is off
    network.set_up("can1")
    assert not hears(canfd(1))
    assert hears()
    configure(CanParameters(bit_timing=BitTiming(bitrate=250_000)))
    assert not hears()
    configure(CanParameters(bit_timing=BitTiming(bitrate=500_000)))
    assert hears()
    configure(CanParameters(modes=CanModes(CanMode.LOOPBACK, CanMode.LOOPBACK)))
    assert not hears()
    network.remove("can1")
    network.add_can("can1", bitrate=500_000)
    other = network._stack.by_name["can1"]
    assert hears()
    assert not hears(canfd(1))


def test_the_clock_is_read_for_those_who_take_a_frame(probe: Callable[..., Probe]) -> None:
    read: list[int] = []

    def clock() -> int:
        read.append(len(read))
        return read[-1]

    with UserNetwork(clock=clock) as network:
        for name in ("can0", "can1", "can2"):
            network.add_can(name, bitrate=500_000)
        sender = probe("can0", [], on=network)
        sender.send(can(1))
        alone = len(read)
        taker = probe("can1", [(2, 0x7FF)], on=network)
        read.clear()
        sender.send(can(1))
        assert len(read) == alone  # nobody takes it
        sender.send(can(2))
        assert len(read) == 2 * alone + 1
        assert taker.words() == [2]


def test_who_only_listens_hears_and_is_not_heard(
    network: UserNetwork, heard: Callable[..., list[str]]
) -> None:
    network.add_can("can1", bitrate=500_000)
    set_modes(network, "can1", CanMode.LISTENONLY)
    assert heard("can0", "can1") == ["can1"]
    assert heard("can1", "can0", "can1") == []
    can1 = network.interfaces()[-1]
    assert (can1.sent, can1.send_dropped, can1.received) == (0, 1, 1)


def test_loopback_is_beside_the_bus(
    network: UserNetwork, probe: Callable[..., Probe], heard: Callable[..., list[str]]
) -> None:
    network.add_can("can1", bitrate=500_000)
    set_modes(network, "can1", CanMode.LOOPBACK)
    assert heard("can0", "can1") == []
    one, other, outside = probe("can1"), probe("can1"), probe("can0")
    one.send(can(5, b"a"))
    assert one.receive() == [(can(5, b"a"), 0, "fifth")]
    assert other.receive() == [
        (can(5, b"a"), DONTROUTE, "fifth"),
        (can(5, b"a"), 0, "fifth"),
    ]
    assert outside.words() == []
    can1 = network.interfaces()[-1]
    assert (can1.sent, can1.received) == (1, 1)


@pytest.mark.parametrize(
    ("sender", "receiver", "dlc"),
    [(True, True, 12), (True, False, 0), (False, True, 0), (False, False, 0)],
)
def test_a_dlc_above_8_passes_where_both_are_to_tell_it(
    network: UserNetwork, probe: Callable[..., Probe], sender: bool, receiver: bool, dlc: int
) -> None:
    for name, tells in (("can0", sender), ("can1", receiver)):
        network.add_can(name, bitrate=500_000)
        if tells:
            set_modes(network, name, CanMode.CC_LEN8_DLC)
    one, local, other = probe("can0"), probe("can0"), probe("can1")
    one.send(can(1, bytes(8), dlc=12))
    assert local.receive() == [(can(1, bytes(8), dlc=12), DONTROUTE, "fourth")]
    assert other.receive() == [(can(1, bytes(8), dlc=dlc), 0, "fifth")]


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (can(0x123, b"abc"), can(0x123, b"abc")),
        (b"\x23\x01\0\0\x01\xff\xff\xff" + b"a" * 8, can(0x123, b"a")),  # padding
        (can(0x20000123), can(0x123)),  # an error frame's flag
        (can(0x12345), can(0x345)),  # 11 bits of identifier
        (can(0x80012345), can(0x80012345)),
        (can(0x40000123, b"abcd"), struct.pack("=IBxxx8s", 0x40000123, 4, b"")),  # remote
        (can(0xC0012345), can(0xC0012345)),
        (canfd(0x123, b"abc", flags=0), canfd(0x123, b"abc")),
        (canfd(0x123, b"abc", flags=0xFF), canfd(0x123, b"abc", flags=7)),
        (canfd(0xE0012345, b"abc"), canfd(0x80012345, b"abc")),
        (canfd(1, b"123456789"), canfd(1, b"123456789\0\0\0")),
        (canfd(1, bytes(33)), canfd(1, bytes(48))),
        (canfd(1, bytes(64)), canfd(1, bytes(64))),
    ],
)
def test_what_a_wire_carries(sent: bytes, heard: bytes) -> None:
    assert on_the_wire(sent, with_dlc=False) == heard


@pytest.mark.parametrize(("dlc", "told"), [(0, 0), (8, 0), (9, 9), (15, 15), (16, 0)])
def test_which_dlcs_a_wire_carries(dlc: int, told: int) -> None:
    assert on_the_wire(can(1, bytes(8), dlc), with_dlc=True) == can(1, bytes(8), told)
    assert on_the_wire(can(1, bytes(7), dlc), with_dlc=True) == can(1, bytes(7))


def test_a_dlc_is_dropped_from_classical_frames_alone() -> None:
    assert without_dlc(can(1, b"12345678", 9)) == can(1, b"12345678")
    reserved = canfd(1)[:7] + b"\x09" + bytes(64)
    assert without_dlc(reserved) == reserved


IDENTIFIERS = st.one_of(
    st.tuples(st.integers(0, 0x7FF), st.just(False)),
    st.tuples(st.integers(0, 0x1FFFFFFF), st.just(True)),
)


@given(IDENTIFIERS, st.binary(max_size=8), st.booleans())
def test_every_frame_of_classical_can_arrives_as_it_is(
    identifier: tuple[int, bool], data: bytes, remote: bool
) -> None:
    number, extended = identifier
    frame: Any = (
        RemoteFrame(number, len(data), extended=extended)
        if remote
        else Frame(number, data, extended=extended)
    )
    assert decode_frame(on_the_wire(encode_frame(frame), with_dlc=False)) == frame


@given(
    IDENTIFIERS,
    st.sampled_from([*range(9), 12, 16, 20, 24, 32, 48, 64]),
    st.booleans(),
    st.booleans(),
)
def test_every_frame_of_can_fd_arrives_as_it_is(
    identifier: tuple[int, bool], size: int, brs: bool, esi: bool
) -> None:
    number, extended = identifier
    frame = FdFrame(number, bytes(range(size)), extended=extended, brs=brs, esi=esi)
    assert decode_frame(on_the_wire(encode_frame(frame), with_dlc=False)) == frame
