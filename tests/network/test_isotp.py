"""An ISO-TP socket on a network whose time stands still until it is moved."""

from __future__ import annotations

import errno
import struct
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import pytest

from anycan.engine.isotp_settings import IsotpSettings
from anycan.network.core.isotp import IsotpSocketCore
from anycan.wire.isotp import FlowControlOptions, IsotpOptions, LinkLayerOptions, pack_isotp_address
from anycan.wire.messages import MessageBuffer
from clock import MILLISECOND, manual_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import Probe

    from anycan import UserNetwork
    from clock import ManualClock

SOL_ISOTP, OPTS, RECV_FC, TX_STMIN, RX_STMIN, LL_OPTS = 106, 1, 2, 3, 4, 5
SO_ERROR, SO_RCVBUF, SO_MEMINFO = 4, 8, 55
LISTEN, EXTEND, SF_BROADCAST, CF_BROADCAST = 0x1, 0x2, 0x800, 0x1000
NONE: Final = 0xFFFFFFFF  # the frame_txtime that adds nothing
EFF: Final = 0x80000000
STAMP: Final = 1_700_000_000_000_000_000
FLEXIBLE, CLASSICAL, LONG = 1, 2, 3  # the interfaces' indices
TESTER, ECU = 0x7E0, 0x7E8

PDU = bytes(range(20))
FRAMES = [
    bytes.fromhex("10 14 00 01 02 03 04 05"),
    bytes.fromhex("21 06 07 08 09 0a 0b 0c"),
    bytes.fromhex("22 0d 0e 0f 10 11 12 13"),
]
GO = bytes.fromhex("30 00 00")


def can(word: int, data: bytes) -> bytes:
    return struct.pack("=IB3x8s", word, len(data), data)


def canfd(word: int, data: bytes, flags: int = 4) -> bytes:
    return struct.pack("=IBB2x64s", word, len(data), flags, data)


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # which has another name on Linux, too
            return "EOPNOTSUPP"
        return errno.errorcode[error.errno or 0]
    return ""


class Link:
    """An ISO-TP socket without a descriptor."""

    def __init__(self, network: UserNetwork, settings: IsotpSettings | None = None) -> None:
        self.polls: list[tuple[bool, bool]] = []
        self.core = IsotpSocketCore(network._stack, self._changed, settings)

    def _changed(self) -> None:
        self.polls.append(self.poll())

    def poll(self) -> tuple[bool, bool]:
        """Tell whether it is readable, and whether it is writable."""
        return self.core.readable, self.core.writable

    def bind(self, tx_id: int, rx_id: int, index: int = FLEXIBLE) -> str:
        return self.bind_to(pack_isotp_address(index, rx_id, tx_id))

    def bind_to(self, address: bytes) -> str:
        return outcome(lambda: self.core.bind(address))

    def set(self, option: int, value: bytes, level: int = SOL_ISOTP) -> str:
        return outcome(lambda: self.core.setsockopt(level, option, value))

    def get(self, option: int, size: int = 64, level: int = SOL_ISOTP) -> bytes:
        return self.core.getsockopt(level, option, size)

    def error(self) -> str:
        """Take the pending error."""
        (number,) = struct.unpack("=i", self.get(SO_ERROR, level=1))
        return errno.errorcode[number] if number else ""

    def send(self, pdu: bytes) -> str:
        return outcome(lambda: self.core.send(pdu, None, 0))

    def receive(self) -> list[tuple[bytes, int, int, int | None]] | str:
        """Receive all that waits: PDUs, interfaces, flags, milliseconds; or an error."""
        buffer = MessageBuffer(16, 9000)
        found: list[tuple[bytes, int, int, int | None]] = []

        def fill() -> None:
            count = self.core.receive(buffer)
            for data, index, flags, stamp_ns in buffer.received(count):
                stamp = None if stamp_ns is None else (stamp_ns - STAMP) // MILLISECOND
                found.append((data, index, flags, stamp))

        return outcome(fill) or found

    def pdus(self) -> list[bytes]:
        """Receive all that waits, and give the PDUs alone."""
        received = self.receive()
        assert not isinstance(received, str), received
        return [pdu for pdu, *_ in received]


@pytest.fixture
def stage() -> Iterator[tuple[UserNetwork, ManualClock]]:
    network, clock = manual_network()
    network._clock = clock.stamp_ns
    with network:
        network.add_vcan("flexible")
        network.add_vcan("classical", mtu=16)
        network.add_vcan("long", mtu=2060)
        yield network, clock


@pytest.fixture
def network(stage: tuple[UserNetwork, ManualClock]) -> UserNetwork:
    return stage[0]


Wait: TypeAlias = "Callable[[int], None]"


@pytest.fixture
def wait(stage: tuple[UserNetwork, ManualClock]) -> Wait:
    """Let time pass, until so many milliseconds since the beginning."""
    network, clock = stage
    return lambda until: clock.advance_to(until * MILLISECOND, network._stack.timers)


Open: TypeAlias = "Callable[..., Link]"


@pytest.fixture
def link(network: UserNetwork) -> Open:
    """Open sockets, by their options; without identifiers, one stays unbound."""

    def open_one(
        tx_id: int | None = TESTER,
        rx_id: int = ECU,
        index: int = FLEXIBLE,
        *,
        flags: int = 0,
        txtime: int = NONE,
        ext: int = 0,
        fc: tuple[int, int] = (0, 0),
        layer: tuple[int, int, int] = (16, 8, 0),
    ) -> Link:
        one = Link(network)
        assert one.set(OPTS, IsotpOptions(flags, txtime, ext).pack()) == ""
        assert one.set(RECV_FC, FlowControlOptions(*fc).pack()) == ""
        assert one.set(LL_OPTS, LinkLayerOptions(*layer).pack()) == ""
        if tx_id is not None:
            assert one.bind(tx_id, rx_id, index) == ""
        return one

    return open_one


def seen(probe: Probe) -> list[bytes]:
    """Give the frames that a raw socket received since the last time."""
    frames: list[bytes] = []
    while isinstance(batch := probe.receive(), list):
        frames += [payload for payload, _, _ in batch]
    return frames


class TestBind:
    @pytest.mark.parametrize("size", [0, 1, 8, 15, 129, 200])
    def test_sizes_of_addresses_that_there_are_not(self, link: Open, size: int) -> None:
        address = pack_isotp_address(FLEXIBLE, 1, 2).ljust(size, b"\0")[:size]
        assert link(None).bind_to(address) == "EINVAL"

    @pytest.mark.parametrize("size", [16, 24, 100, 128])
    def test_sizes_that_there_are(self, link: Open, size: int) -> None:
        address = pack_isotp_address(FLEXIBLE, 1, 2).ljust(size, b"\0")[:size]
        assert link(None).bind_to(address) == ""

    @pytest.mark.parametrize(
        ("rx_id", "tx_id", "error"),
        [
            (0, 1, ""),
            (0x7FF, 0, ""),
            (0x800, 1, "EINVAL"),
            (1, 0x800, "EINVAL"),
            (EFF, 1, ""),
            (EFF | 1, 1, ""),
            (EFF | 0x1FFFFFFF, EFF, ""),
            (EFF | 0x20000000, 1, "EINVAL"),
            (1, EFF | 0x40000000, "EINVAL"),
            (0x40000001, 1, "EINVAL"),
            (1, 0x20000001, "EINVAL"),
            (5, 5, "EADDRNOTAVAIL"),
            (EFF | 5, EFF | 5, "EADDRNOTAVAIL"),
        ],
    )
    def test_identifiers(self, link: Open, rx_id: int, tx_id: int, error: str) -> None:
        assert link(None).bind(tx_id, rx_id) == error

    @pytest.mark.parametrize("flags", [SF_BROADCAST, CF_BROADCAST])
    def test_who_only_sends_needs_one(self, network: UserNetwork, link: Open, flags: int) -> None:
        for rx_id in (0, 1, 0xFFFFFFFF):
            assert link(None, flags=flags).bind(1, rx_id) == ""
        assert link(None, flags=flags).bind(0x800, 0) == "EINVAL"
        assert len(network._stack.by_name["flexible"].lists) == 3

    @pytest.mark.parametrize(
        ("index", "error"), [(0, "ENODEV"), (99, "ENODEV"), (0xFFFFFFFF, "ENODEV"), (LONG, "")]
    )
    def test_interfaces(self, link: Open, index: int, error: str) -> None:
        assert link(None).bind(1, 2, index) == error

    def test_errors_come_in_the_kernel_s_order(self, link: Open) -> None:
        def address(family: int, index: int, rx_id: int, tx_id: int) -> bytes:
            return struct.pack("=HxxIII8x", family, index, rx_id, tx_id)

        one = link(None, layer=(72, 8, 0))
        # Each is wrong in all that comes later, too.
        assert one.bind_to(address(2, 0, 5, 5)[:15]) == "EINVAL"
        assert one.bind_to(address(2, 0, 5, 5)) == "EINVAL"
        assert one.bind_to(address(29, 0, 0x800, 0x800)) == "EINVAL"
        assert one.bind_to(address(29, 0, 5, 5)) == "ENODEV"
        assert one.bind_to(address(29, 99, 5, 5)) == "EADDRNOTAVAIL"
        assert one.bind_to(address(29, 99, 5, 6)) == "ENODEV"
        assert one.bind_to(address(29, CLASSICAL, 5, 6)) == "EINVAL"  # its frames are too long
        assert one.bind_to(address(29, FLEXIBLE, 5, 6)) == ""
        assert one.bind_to(address(29, 0, 5, 5)) == "ENODEV"
        assert one.bind_to(address(29, 99, 5, 5)) == "EINVAL"  # it is bound

    @pytest.mark.parametrize(
        ("index", "layer", "error"),
        [
            (CLASSICAL, (16, 8, 0), ""),
            (CLASSICAL, (72, 8, 0), "EINVAL"),
            (FLEXIBLE, (72, 64, 1), ""),
            (LONG, (72, 64, 0), ""),
        ],
    )
    def test_an_interface_s_frames(
        self, link: Open, index: int, layer: tuple[int, int, int], error: str
    ) -> None:
        assert link(None, layer=layer).bind(1, 2, index) == error

    def test_to_an_interface_that_is_down(self, network: UserNetwork, link: Open) -> None:
        network.set_down("flexible")
        one = link()
        assert one.poll() == (True, True)
        assert one.receive() == "ENETDOWN"
        assert one.receive() == "EAGAIN"
        network.set_up("flexible")
        assert one.send(b"\1") == ""

    def test_what_is_refused_leaves_it_as_it_was(self, network: UserNetwork, link: Open) -> None:
        one = link(None)
        for address in (b"", pack_isotp_address(FLEXIBLE, 1, 1), pack_isotp_address(9, 1, 2)):
            assert one.bind_to(address) != ""
        interface = network._stack.by_name["flexible"]
        assert (len(interface.lists), interface.bound) == (0, {})
        assert one.send(b"\1") == "EADDRNOTAVAIL"
        assert one.bind(1, 2) == ""

    def test_it_is_not_connected(self, link: Open) -> None:
        for one in (link(), link(None)):
            assert outcome(partial(one.core.connect, pack_isotp_address(1, 1, 2))) == "EOPNOTSUPP"


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "default", "other"),
        [
            (
                OPTS,
                struct.pack("=II4B", 0, 0, 0, 0xCC, 0xCC, 0),
                struct.pack("=II4B", 0x206, 7, 1, 2, 3, 4),
            ),
            (RECV_FC, bytes(3), b"\x08\xf1\x07"),
            (TX_STMIN, bytes(4), struct.pack("=I", 0xFFFFFFFF)),
            (RX_STMIN, bytes(4), struct.pack("=I", 1_000_000)),
            (LL_OPTS, b"\x10\x08\x00", b"\x48\x40\x01"),
        ],
    )
    def test_they_are_set_and_told(
        self, network: UserNetwork, option: int, default: bytes, other: bytes
    ) -> None:
        one = Link(network)
        assert one.get(option) == default
        assert one.set(option, other) == ""
        assert one.get(option) == other
        assert [one.get(option, size) for size in (0, 1, 2)] == [b"", other[:1], other[:2]]
        for value in (b"", other[:-1], other + b"\0"):
            assert one.set(option, value) == "EINVAL"
        assert one.get(option) == other
        assert one.bind(1, 2) == ""
        assert one.set(option, default) == "EISCONN"
        assert one.get(option) == other

    @pytest.mark.parametrize("value", [b"\x10\x09\0", b"\x10\x0c\0", b"\x10\x08\1", b"\x48\x0d\0",
                                       b"\x48\0\0", b"\x11\x08\0", bytes(3)])  # fmt: skip
    def test_link_layers_that_there_are_not(self, link: Open, value: bytes) -> None:
        one = link(None)
        assert one.set(LL_OPTS, value) == "EINVAL"
        assert one.get(LL_OPTS) == b"\x10\x08\0"

    def test_two_kinds_of_broadcast(self, link: Open) -> None:
        one = link(None)
        value = IsotpOptions(SF_BROADCAST | CF_BROADCAST | LISTEN)
        assert one.set(OPTS, value.pack()) == "EINVAL"
        assert one.get(OPTS) == attrs.evolve(value, flags=SF_BROADCAST | LISTEN).pack()

    def test_the_address_byte_of_frames_received_is_that_of_those_sent(self, link: Open) -> None:
        one = link(None)
        one.set(OPTS, IsotpOptions(EXTEND, ext_address=5, rx_ext_address=6).pack())
        assert one.get(OPTS) == IsotpOptions(EXTEND, ext_address=5, rx_ext_address=5).pack()

    @pytest.mark.parametrize("option", [0, 6, 7, 99])
    def test_that_there_are_not(self, link: Open, option: int) -> None:
        one = link(None)
        for value in (b"", bytes(4)):
            assert one.set(option, value) == "ENOPROTOOPT"
        assert outcome(lambda: one.get(option)) == "ENOPROTOOPT"
        assert one.bind(1, 2) == ""
        assert one.set(option, bytes(4)) == "EISCONN"

    @pytest.mark.parametrize("level", [0, 100, 101, 102])
    def test_of_other_levels(self, link: Open, level: int) -> None:
        for one in (link(None), link()):
            assert one.set(1, bytes(4), level) == "EINVAL"
            assert outcome(partial(one.get, 1, level=level)) == "EINVAL"

    def test_of_sockets(self, link: Open) -> None:
        one = link()
        kind, protocol, domain = (
            struct.unpack("=i", one.get(option, level=1)) for option in (3, 38, 39)
        )
        assert (kind, protocol, domain) == ((2,), (0,), (29,))  # SOCK_DGRAM, 0, AF_CAN
        assert one.set(SO_RCVBUF, struct.pack("=i", 5000), level=1) == ""
        assert one.get(SO_RCVBUF, level=1) == struct.pack("=i", 10_000)
        assert one.set(999, bytes(4), level=1) == "ENOPROTOOPT"

    def test_settings_that_it_is_given(self, network: UserNetwork) -> None:
        one = Link(network, IsotpSettings(strict=True, maximum_pdu=30, rx_stmin=5))
        assert one.get(RX_STMIN) == struct.pack("=I", 5)
        assert one.bind(1, 2) == ""
        assert [one.send(bytes(size)) for size in (31, 30)] == ["EINVAL", ""]

    def test_the_network_has_a_greatest_pdu(self, link: Open) -> None:
        one = link()
        assert [one.send(bytes(size)) for size in (8301, 8300)] == ["EINVAL", ""]


class TestSend:
    def test_before_it_is_bound(self, link: Open) -> None:
        one = link(None)
        for pdu in (b"", b"\1", bytes(9000)):
            assert one.send(pdu) == "EADDRNOTAVAIL"

    @pytest.mark.parametrize("size", [0, 8301])
    def test_sizes_that_there_are_not(self, link: Open, size: int) -> None:
        assert link().send(bytes(size)) == "EINVAL"

    def test_of_single_frames_alone(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, listener = link(flags=SF_BROADCAST), probe()
        assert [one.send(bytes(size)) for size in (8, 7)] == ["EINVAL", ""]
        assert seen(listener) == [can(TESTER, b"\7" + bytes(7))]

    def test_a_single_frame(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, listener = link(), probe()
        assert one.send(b"\x3e\x00") == ""
        assert listener.receive() == [(can(TESTER, b"\x02\x3e\x00"), 4, "flexible")]
        assert one.poll() == (False, True)  # its echo came at once

    def test_identifiers_of_29_bits(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, listener = link(EFF | 0x18DA10F1, EFF | 0x18DAF110), probe()
        assert one.send(b"\1") == ""
        assert seen(listener) == [can(EFF | 0x18DA10F1, b"\1\1")]
        listener.send(can(EFF | 0x18DAF110, b"\1\2"))
        listener.send(can(0x110, b"\1\3"))
        assert one.pdus() == [b"\2"]

    def test_frames_of_can_fd_carry_the_flags(
        self, link: Open, probe: Callable[..., Probe]
    ) -> None:
        one, listener = link(layer=(72, 64, 1)), probe(fd=1)
        one.send(bytes(range(40)))
        data = b"\0\x28" + bytes(range(40)) + 6 * b"\xcc"
        assert seen(listener) == [canfd(TESTER, data, 5)]  # BRS, and FDF

    def test_while_another_is_sent(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, listener = link(), probe()
        assert one.send(PDU) == ""
        assert one.poll() == (False, False)
        for pdu in (b"", b"\1", bytes(9000)):
            assert one.send(pdu) == "EAGAIN"
        listener.send(can(ECU, GO))
        assert seen(listener) == [can(TESTER, frame) for frame in FRAMES]
        assert one.poll() == (False, True)
        assert one.send(b"\1") == ""

    @pytest.mark.parametrize("pdu", [b"\1", PDU])
    def test_a_pending_error_is_told_once_and_nothing_is_sent(
        self, link: Open, probe: Callable[..., Probe], wait: Wait, pdu: bytes
    ) -> None:
        one, listener = link(), probe()
        one.send(PDU)
        wait(1000)
        assert one.poll() == (True, True)
        seen(listener)
        # What is wrong with the PDU itself comes first, and leaves the error alone.
        assert one.send(b"") == "EINVAL"
        assert one.send(pdu) == "ECOMM"
        assert (seen(listener), one.poll()) == ([], (False, True))
        assert one.send(pdu) == ""
        assert len(seen(listener)) == 1

    def test_a_reception_s_error_is_told_likewise(
        self, link: Open, probe: Callable[..., Probe]
    ) -> None:
        one, listener = link(), probe()
        for frame in (FRAMES[0], FRAMES[2]):
            listener.send(can(ECU, frame))
        seen(listener)
        assert one.send(b"\1") == "EILSEQ"
        assert seen(listener) == []
        assert one.send(b"\1") == ""

    def test_of_several_errors_the_last_one(
        self, link: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, listener = link(), probe()
        for frame in (FRAMES[0], FRAMES[2]):
            listener.send(can(ECU, frame))
        listener.send(can(ECU, FRAMES[0]))
        wait(1000)
        assert [one.error(), one.error()] == ["ETIMEDOUT", ""]

    @pytest.mark.parametrize("pdu", [b"\1", PDU])
    def test_to_an_interface_that_is_down(
        self, network: UserNetwork, link: Open, pdu: bytes
    ) -> None:
        one = link()
        network.set_down("flexible")
        assert one.send(pdu) == "ENETDOWN"  # which is what happened
        assert one.send(pdu) == "ENETDOWN"  # and this what was tried
        assert one.poll() == (False, True)
        assert network._stack.timers.deadline is None
        network.set_up("flexible")
        assert one.send(pdu) == ""

    def test_writable(self, link: Open, wait: Wait) -> None:
        one = link()
        one.send(PDU)
        assert one.polls == [(False, False)]
        wait(1000)
        assert one.polls[1:] == [(True, True)] * (len(one.polls) - 1)
        assert len(one.polls) > 1
        assert one.error() == "ECOMM"
        assert one.polls[-1] == (False, True)


class TestReceive:
    def test_before_it_is_bound(self, link: Open) -> None:
        assert link(None).receive() == "EADDRNOTAVAIL"

    def test_nothing(self, link: Open) -> None:
        assert link().receive() == "EAGAIN"

    def test_pdus(self, link: Open, probe: Callable[..., Probe], wait: Wait) -> None:
        one, sender = link(), probe()
        sender.send(can(ECU, b"\2\x7e\0"))
        wait(5)
        for frame in FRAMES:
            sender.send(can(ECU, frame))
        assert one.poll() == (True, True)
        # Of where it comes from, the interface alone is told.
        assert one.receive() == [(b"\x7e\0", FLEXIBLE, 0, 0), (PDU, FLEXIBLE, 0, 5)]
        assert one.receive() == "EAGAIN"
        assert one.poll() == (False, True)
        assert one.polls == [(True, True), (False, True)]

    def test_a_pdu_that_finds_no_room_is_cut(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, sender = link(), probe()
        for frame in FRAMES:
            sender.send(can(ECU, frame))
        buffer = MessageBuffer(4, 16)
        assert one.core.receive(buffer) == 1
        ((data, _, flags, _),) = buffer.received(1)
        assert (data, flags) == (PDU[:16], 0x20)  # MSG_TRUNC

    @pytest.mark.parametrize(
        ("layer", "payload", "taken"),
        [
            ((16, 8, 0), can(ECU, b"\1\2"), True),
            ((16, 8, 0), canfd(ECU, b"\1\2"), False),
            ((72, 8, 0), can(ECU, b"\1\2"), False),
            ((72, 8, 0), canfd(ECU, b"\1\2"), True),
            ((72, 8, 0), canfd(ECU, b"\1\2", flags=0), True),
            ((16, 8, 0), can(ECU + 1, b"\1\2"), False),
            ((16, 8, 0), can(TESTER, b"\1\2"), False),
            ((16, 8, 0), can(ECU | EFF, b"\1\2"), False),
            ((16, 8, 0), can(ECU | 0x40000000, b"\1\2"), False),
            ((16, 8, 0), can(ECU | 0x20000000, b"\1\2"), False),
        ],
    )
    def test_frames_of_its_kind_and_identifier(
        self,
        link: Open,
        probe: Callable[..., Probe],
        layer: tuple[int, int, int],
        payload: bytes,
        taken: bool,
    ) -> None:
        one, sender = link(layer=layer), probe(fd=1)
        assert sender.send(payload) == ""
        assert one.core.readable is taken

    def test_who_broadcasts_receives_nothing(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, sender = link(flags=CF_BROADCAST), probe()
        for word in (ECU, TESTER):
            sender.send(can(word, b"\1\2"))
        assert one.receive() == "EAGAIN"

    def test_a_pending_error_comes_first(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, sender = link(), probe()
        sender.send(can(ECU, b"\1\2"))
        for frame in (FRAMES[0], FRAMES[2]):
            sender.send(can(ECU, frame))
        assert one.receive() == "EILSEQ"
        assert one.receive() == [(b"\2", FLEXIBLE, 0, 0)]

    def test_what_finds_no_room_is_counted(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, sender = link(), probe()
        one.set(SO_RCVBUF, bytes(4), level=1)
        for number in range(5):
            sender.send(can(ECU, bytes((1, number))))
        # Three of 960 bytes each fill the least buffer, of 2304.
        numbers = struct.unpack("=9I", one.get(SO_MEMINFO, level=1))
        assert (numbers[:2], numbers[8]) == ((2880, 2304), 2)
        assert one.core.drops == 2
        assert one.pdus() == [b"\0", b"\1", b"\2"]
        assert struct.unpack("=I", one.get(SO_MEMINFO, 4, level=1)) == (0,)
        sender.send(can(ECU, b"\1\7"))
        assert one.pdus() == [b"\7"]

    @pytest.mark.parametrize(("size", "charge"), [(1, 960), (384, 960), (385, 1280), (8300, 16640)])
    def test_what_a_pdu_takes_of_the_buffer(
        self, link: Open, wait: Wait, size: int, charge: int
    ) -> None:
        one, other = link(), link(ECU, TESTER)
        other.send(bytes(size))
        wait(1)
        assert struct.unpack("=I", one.get(SO_MEMINFO, 4, level=1)) == (charge,)


class TestTransfers:
    def test_two_sockets(self, link: Open, probe: Callable[..., Probe]) -> None:
        listener = probe()
        tester, ecu = link(), link(ECU, TESTER, fc=(1, 0))
        assert tester.send(PDU) == ""
        assert ecu.receive() == [(PDU, FLEXIBLE, 0, 0)]
        control = can(ECU, b"\x30\1\0")
        first, second, third = (can(TESTER, frame) for frame in FRAMES)
        # Each question is heard before its answer.
        assert seen(listener) == [first, control, second, control, third]
        assert (tester.poll(), tester.error(), ecu.error()) == ((False, True), "", "")

    def test_gaps_take_their_time(
        self, link: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        listener = probe()
        tester, ecu = link(), link(ECU, TESTER, fc=(0, 10))
        tester.send(PDU)
        assert len(seen(listener)) == 3
        wait(9)
        assert seen(listener) == []
        wait(10)
        assert seen(listener) == [can(TESTER, FRAMES[2])]
        assert ecu.receive() == [(PDU, FLEXIBLE, 0, 10)]
        assert tester.poll() == (False, True)

    @pytest.mark.parametrize("size", [1, 62, 63, 4096, 8300])
    def test_of_can_fd(self, link: Open, wait: Wait, size: int) -> None:
        tester, ecu = link(layer=(72, 64, 0)), link(ECU, TESTER, layer=(72, 12, 0), fc=(3, 0))
        pdu = bytes(number & 0xFF for number in range(size))
        for at, one, other in ((1, tester, ecu), (2, ecu, tester)):
            assert one.send(pdu) == ""
            wait(at)  # so many answers are not given without a pause
            assert other.pdus() == [pdu]

    def test_a_broadcast(self, link: Open, probe: Callable[..., Probe]) -> None:
        listener = probe()
        sender, other = link(flags=CF_BROADCAST), link(ECU, TESTER, flags=LISTEN)
        sender.send(PDU)
        assert seen(listener) == [can(TESTER, frame) for frame in FRAMES]
        assert other.pdus() == [PDU]

    def test_a_frame_of_another_socket_is_no_echo(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, other = link(), probe()
        one.send(PDU)
        other.send(can(ECU, b"\x30\0\x0a"))
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"
        wait(10)  # when the last frame is refused
        network.set_up("flexible")
        seen(other)  # and what happened to its link
        assert other.send(can(TESTER, FRAMES[2])) == ""
        assert one.poll() == (False, False)
        wait(2010)
        assert one.error() == "ECOMM"

    def test_both_at_once(self, link: Open) -> None:
        tester, ecu = link(fc=(2, 0)), link(ECU, TESTER, fc=(1, 0))
        assert (tester.send(PDU), ecu.send(PDU[::-1])) == ("", "")
        assert ecu.pdus() == [PDU]
        assert tester.pdus() == [PDU[::-1]]


class TestLinkDown:
    def test_it_is_told_once(self, network: UserNetwork, link: Open) -> None:
        one = link()
        network.set_down("flexible")
        network.set_down("flexible")
        assert [one.error(), one.error()] == ["ENETDOWN", ""]
        network.set_up("flexible")
        assert one.error() == ""

    def test_other_interfaces_do_not_matter(self, network: UserNetwork, link: Open) -> None:
        one = link()
        network.set_down("classical")
        network.remove("long")
        assert one.error() == ""

    def test_a_transfer_that_goes_on_ends_by_time(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, peer = link(), probe()
        one.send(PDU)
        peer.send(can(ECU, b"\x30\0\x0a"))
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"
        assert one.poll() == (False, False)
        wait(2009)
        assert one.error() == ""
        wait(2010)
        assert (one.error(), one.poll()) == ("ECOMM", (False, True))
        assert network._stack.timers.deadline is None

    def test_it_may_come_up_again_in_time(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, peer = link(), probe()
        one.send(PDU)
        network.set_down("flexible")
        network.set_up("flexible")
        wait(900)
        peer.receive()
        seen(peer)
        peer.send(can(ECU, GO))
        assert seen(peer) == [can(TESTER, frame) for frame in FRAMES[1:]]
        assert (one.error(), one.poll()) == ("ENETDOWN", (False, True))


class TestRemoval:
    def test_it_is_unbound(self, network: UserNetwork, link: Open) -> None:
        one = link()
        network.remove("flexible")
        assert [one.error(), one.error()] == ["ENODEV", ""]
        assert one.send(b"\1") == "EADDRNOTAVAIL"
        assert one.receive() == "EADDRNOTAVAIL"

    def test_it_can_be_bound_again(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe]
    ) -> None:
        one = link()
        network.remove("flexible")
        assert one.error() == "ENODEV"
        assert one.set(LL_OPTS, b"\x48\x40\0") == ""  # and its options set
        assert one.bind(0x111, 0x222, CLASSICAL) == "EINVAL"
        assert one.bind(0x111, 0x222, LONG) == ""
        peer = probe("long", fd=1)
        assert one.send(bytes(8)) == ""
        assert seen(peer) == [canfd(0x111, b"\0\x08" + bytes(8) + b"\xcc\xcc")]
        peer.send(canfd(0x222, b"\1\7"))
        peer.send(canfd(ECU, b"\1\7"))
        assert one.receive() == [(b"\7", LONG, 0, 0)]

    def test_what_was_received_before_waits_until_then(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe]
    ) -> None:
        one, peer = link(), probe()
        peer.send(can(ECU, b"\1\7"))
        network.remove("flexible")
        assert one.receive() == "EADDRNOTAVAIL"
        assert one.bind(TESTER, ECU, LONG) == ""
        assert one.receive() == "ENODEV"
        assert one.receive() == [(b"\7", FLEXIBLE, 0, 0)]

    @pytest.mark.parametrize(("control", "ends"), [(None, 1000), (b"\x30\0\x0a", 2010)])
    def test_in_the_middle_of_a_transfer(
        self,
        network: UserNetwork,
        link: Open,
        probe: Callable[..., Probe],
        wait: Wait,
        control: bytes | None,
        ends: int,
    ) -> None:
        one, peer = link(), probe()
        one.send(PDU)
        if control:
            peer.send(can(ECU, control))
        network.remove("flexible")
        assert one.error() == "ENODEV"
        wait(ends - 1)
        assert one.poll() == (False, False)
        wait(ends)
        assert (one.poll(), one.error()) == ((True, True), "ECOMM")
        assert network._stack.timers.deadline is None

    def test_what_was_being_sent_is_in_the_way_of_the_next_pdu(
        self, network: UserNetwork, link: Open, wait: Wait
    ) -> None:
        one = link()
        one.send(PDU)
        network.remove("flexible")
        assert one.error() == "ENODEV"
        assert one.bind(TESTER, ECU, LONG) == ""
        assert one.send(b"\1") == "EAGAIN"
        wait(1000)
        assert [one.send(b"\1"), one.send(b"\1")] == ["ECOMM", ""]

    def test_the_network_is_closed(self, network: UserNetwork, link: Open) -> None:
        one, idle = link(), link(None)
        network.close()
        assert (one.error(), idle.error()) == ("ENODEV", "")
        assert one.bind(1, 2) == "ENODEV"


class TestClose:
    @pytest.mark.parametrize("control", [None, b"\x30\0\x0a", b"\x30\1\0", b"\x31\0\0"])
    def test_in_the_middle_of_a_transfer(
        self,
        network: UserNetwork,
        link: Open,
        probe: Callable[..., Probe],
        wait: Wait,
        control: bytes | None,
    ) -> None:
        one, peer = link(), probe()
        one.send(PDU)
        peer.send(can(ECU, FRAMES[0]))  # and of what it receives, too
        if control:
            peer.send(can(ECU, control))
        timers = network._stack.timers
        deadlines = [timers.deadline]
        one.core.close()
        deadlines.append(timers.deadline)
        assert [deadline is None for deadline in deadlines] == [False, True]
        seen(peer)
        changes = len(one.polls)
        peer.send(can(ECU, GO))
        wait(5000)
        network.remove("flexible")
        assert (seen(peer), len(one.polls)) == ([], changes)

    def test_nothing_of_it_is_left(self, network: UserNetwork, link: Open) -> None:
        one = link()
        interface = network._stack.by_name["flexible"]
        assert (len(interface.lists), len(interface.bound)) == (2, 1)
        one.core.close()
        assert (len(interface.lists), interface.bound) == (0, {})
        assert one.poll() == (False, True)

    def test_what_waits_is_forgotten(self, link: Open, probe: Callable[..., Probe]) -> None:
        one, peer = link(), probe()
        peer.send(can(ECU, b"\1\2"))
        assert one.poll() == (True, True)
        one.core.close()
        assert one.poll() == (False, True)

    def test_a_second_time_and_before_it_is_bound(self, network: UserNetwork, link: Open) -> None:
        for one in (link(), link(None)):
            one.core.close()
            one.core.close()
        assert network._stack.by_name["flexible"].bound == {}

    def test_after_its_interface_was_removed(self, network: UserNetwork, link: Open) -> None:
        one = link()
        one.send(PDU)
        network.remove("flexible")
        one.core.close()
        assert network._stack.timers.deadline is None

    def test_with_an_answer_that_waits(
        self, network: UserNetwork, link: Open, probe: Callable[..., Probe]
    ) -> None:
        one, peer = link(), probe()
        stack = network._stack
        # Whoever hears the first frame before it is answered may close the socket.
        stack.afterwards.calls.append(one.core.close)
        peer.send(can(ECU, FRAMES[0]))
        assert seen(peer) == []
        assert (stack.timers.deadline, len(stack.afterwards.calls)) == (None, 0)
